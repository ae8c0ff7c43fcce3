"""Every teacher of the table from its training to both distilled students, with tiny networks."""

import json

import pytest
import torch

from configs.build import configured, with_options
from distill import cache
from distill import train as distill_train
from students import evaluate as students_evaluate
from teacher import eigenears, finetune, train
from teacher import evaluate as teacher_evaluate
from teacher.checkpoint import read_checkpoint
from teacher.margin import __main__ as margin
from teacher.models.registry import load_model
from tests.drawn_ears import draw_ears
from tests.tiny_backbones import TINY_BACKBONES, TINY_MARGIN, TINY_SEVERAL
from tests.tiny_teacher import TINY_VAE

# Of the sizes and weights of one architecture, which are the same network here, one runs in every test run.
SAME_AS_ANOTHER = (
    "sam_large", "sam_huge", "medsam", "mae_large", "mae_huge", "convnextv2", "convnextv2_large",
    "convnext_tiny", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2",
)  # fmt: skip
OPTIONS = {**TINY_BACKBONES, **TINY_SEVERAL}
TEACHERS = [
    pytest.param(name, marks=pytest.mark.slow) if name in SAME_AS_ANOTHER else name for name in OPTIONS
]


@pytest.fixture(scope="module")
def ears(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ears")
    draw_ears(folder, "train", photographs=6, seed=0)
    draw_ears(folder, "val", photographs=4, seed=1)
    return folder


def train_teacher(name, ears, folder, **changes):
    """Two short epochs of teacher.train; the folder with best.ckpt."""
    given = {
        "train_npy": ears / "train.npy",
        "val_npy": ears / "val.npy",
        "output_dir": folder,
        "backbone": name,
        "pretrained": False,
        "perceptual_weight": 0,
        "epochs": 2,
        "batch_size": 3,
        "num_workers": 0,
        "warmup_steps": 1,
        **TINY_VAE,
        "freeze_layers": None,
        "backbone_options": OPTIONS[name],
    }
    return train.main(configured(train.Config, **{**given, **changes}))


@pytest.mark.parametrize("name", TEACHERS)
def test_from_training_to_both_students(name, ears, tmp_path):
    teacher = train_teacher(name, ears, tmp_path / "teacher")
    follow_the_teacher(teacher / "best.ckpt", ears, tmp_path)
    resumed = train_teacher(name, ears, teacher, epochs=4, resume="auto")
    assert read_checkpoint(resumed / "last.ckpt")["epoch"] == (1 if name == "staged" else 3)


def test_the_margin_teacher_from_training_to_both_students(ears, tmp_path):
    config = configured(
        margin.Config,
        train_metadata=ears / "train.npy",
        val_metadata=ears / "val.npy",
        output_dir=tmp_path / "teacher",
        **TINY_MARGIN,
        max_epochs=2,
    )
    teacher = margin.main(config)
    follow_the_teacher(teacher / "best.ckpt", ears, tmp_path)
    resumed = margin.main(with_options(config, max_epochs=3, resume="auto"))
    assert read_checkpoint(resumed / "last.ckpt")["epoch"] == 2


def follow_the_teacher(checkpoint, ears, folder):
    """Evaluate, eigenears, fine-tune, keep maps, distil both students, evaluate them."""
    teacher_evaluate.main(teacher_evaluate.Config(checkpoint, ears / "val.npy", folder / "teacher_eval"))
    assert json.loads((folder / "teacher_eval" / "metrics.json").read_text())["psnr"] > 3
    eigenears.main(eigenears.Config(checkpoint, ears / "train.npy", folder / "eigenears", components=2))
    assert (folder / "eigenears" / "grid.png").is_file()
    detector = finetune.main(
        configured(
            finetune.Config, checkpoint=checkpoint, train_npy=ears / "train.npy", val_npy=ears / "val.npy",
            output_dir=folder / "ear_detector", steps=1, min_steps_per_epoch=1, batch_size=4, num_workers=0,
            fusion={"width": 16, "cells": 16, "stem_channels": 8},
        )
    ) / "best.ckpt"  # fmt: skip
    boxes, points = load_model(detector, "EarDetector")(torch.zeros(1, 3, 64, 64))
    assert boxes.isfinite().all() and points.shape == (1, 17, 3)
    common = {"checkpoint": checkpoint, "train_npy": ears / "train.npy", "grid": 4, "num_workers": 0}
    for maps, layer in (("maps", "feat2"), ("frame_maps", "backbone")):
        cache.main(configured(cache.Config, output_dir=folder / maps, layer=layer, views=2, **common))
    students = {}
    for student, given in (
        ("landmarker", {"maps": folder / "maps", "labelled_npy": ears / "train.npy"}),
        ("detector", {"maps": folder / "frame_maps"}),
    ):
        sizes = {
            "trunk": "mobilenetv3_small_050",
            "width": 8,
            **({"image_px": 160} if student == "detector" else {}),
        }
        config = configured(
            distill_train.Config, student=student, train_npy=ears / "train.npy", val_npy=ears / "val.npy",
            output_dir=folder / student, steps=1, rounds=1, batch_size=4, num_workers=0,
            student_options=sizes, **given,
        )  # fmt: skip
        students[student] = distill_train.main(config) / "student.pt"
        assert "train/map_cosine" in (folder / student / "metrics.csv").read_text()
    evaluated = students_evaluate.main(
        students_evaluate.Config(
            folder / "evaluate", ear_detector=detector, ears_npy=ears / "val.npy",
            frames_npy=ears / "val.npy", **students,
        )
    )  # fmt: skip
    assert (evaluated / "metrics.json").is_file()
