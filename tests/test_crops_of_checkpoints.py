"""Checkpoints say how the ears they were trained on were cut, and later stages refuse others."""

from dataclasses import replace

import numpy as np
import pytest

from configs.build import configured
from configs.errors import UserError
from data.crop_settings import CropSettings
from data.landmarks import Scheme
from data.manifest import read_manifest, write_manifest
from teacher import eigenears, embed, evaluate, finetune, probe, train
from teacher.checkpoint import read_checkpoint, require_crops_of, save_weights
from teacher.margin.fit import crops_seen, ear_data
from teacher.margin.options import CropOptions
from teacher.models.detector import EarDetector
from teacher.models.vae import EarVAE
from tests.drawn_ears import draw_ears
from tests.tiny_teacher import SMALL_FINETUNING, tiny_vae

WIDE = CropSettings(margin=0.25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight drawn ears, cut widely and as ever, and a teacher of wide crops."""
    folder = tmp_path_factory.mktemp("cut")
    draw_ears(folder, "usual", photographs=8, seed=0)
    ears = read_manifest(folder / "usual.npy")
    write_manifest(folder / "wide.npy", replace(ears, crops=WIDE))
    vae = tiny_vae(freeze_layers=0)
    save_weights(folder / "usual.ckpt", vae, "EarVAE")
    vae.crops = WIDE
    save_weights(folder / "wide.ckpt", vae, "EarVAE")
    return folder


def test_a_checkpoint_carries_them_and_is_silent_of_the_usual(folder):
    assert "crops" not in read_checkpoint(folder / "usual.ckpt")["hyper_parameters"]
    assert EarVAE.load_from_checkpoint(folder / "usual.ckpt").crops == CropSettings()
    assert EarVAE.load_from_checkpoint(folder / "wide.ckpt").crops == WIDE
    assert EarDetector.from_vae_checkpoint(folder / "wide.ckpt").crops == WIDE


def test_points_of_another_scheme_come_back(folder, tmp_path):
    scheme = Scheme.from_plain({"names": ["a", "b", "c"], "flip": [1, 0, 2]}, "here")
    crops = CropSettings(0.2, scheme)
    detector = EarDetector.from_vae(tiny_vae(), num_landmarks=3, width=8, heatmap_cells=16, stem_channels=8)
    detector.crops = crops
    save_weights(tmp_path / "detector.ckpt", detector, "EarDetector")
    assert EarDetector.load_from_checkpoint(tmp_path / "detector.ckpt").crops == crops


@pytest.mark.parametrize("command", [evaluate, eigenears, probe, embed])
def test_what_measures_a_teacher_refuses_ears_cut_otherwise(folder, tmp_path, command):
    ears = "images" if command is embed else "npy"
    given = {"checkpoint": folder / "wide.ckpt", ears: folder / "usual.npy", "output_dir": tmp_path}
    with pytest.raises(
        UserError, match=r"usual\.npy is of crops with a margin of 0\.1, .*wide\.ckpt of 0\.25"
    ):
        command.main(configured(command.Config, **given))
    assert not list(tmp_path.iterdir())


def test_a_fine_tuning_refuses_them_too(folder, tmp_path):
    given = {**SMALL_FINETUNING, "checkpoint": folder / "wide.ckpt", "output_dir": tmp_path}
    for trained, judged in (("usual", "usual"), ("wide", "usual")):
        files = {"train_npy": folder / f"{trained}.npy", "val_npy": folder / f"{judged}.npy"}
        with pytest.raises(UserError, match="one run cuts its ears in one way"):
            finetune.main(configured(finetune.Config, **given, **files))
    assert not list(tmp_path.iterdir())


@pytest.mark.trains
def test_a_fine_tuning_on_wide_crops_says_so(folder, tmp_path):
    files = {"train_npy": folder / "wide.npy", "val_npy": folder / "wide.npy"}
    given = {**SMALL_FINETUNING, "epochs": 1, "batch_size": 4, "min_steps_per_epoch": 1}
    finetune.main(
        configured(finetune.Config, checkpoint=folder / "wide.ckpt", output_dir=tmp_path, **files, **given)
    )
    detector = EarDetector.load_from_checkpoint(tmp_path / "best.ckpt")
    assert detector.crops == WIDE
    assert np.isfinite(detector.heatmaps.to_maps[1].weight.detach().numpy()).all()


def test_a_training_refuses_held_out_ears_cut_otherwise(folder, tmp_path):
    files = {"train_npy": folder / "wide.npy", "val_npy": folder / "usual.npy"}
    with pytest.raises(
        UserError, match=r"usual\.npy is of crops with a margin of 0\.1, .*wide\.npy of 0\.25"
    ):
        train.main(
            configured(train.Config, pretrained=False, perceptual_weight=0, output_dir=tmp_path, **files)
        )
    with pytest.raises(UserError, match="one run cuts its ears in one way"):
        ear_data(*files.values(), CropOptions(), 4, 64, 0, 0)
    assert not list(tmp_path.iterdir())


def test_the_margin_teachers_buffer_is_what_its_checkpoint_says(folder):
    for buffer, expected in ((None, 0.25), (0.4, 0.4)):
        options = CropOptions(bbox_buffer=buffer)
        data = ear_data(folder / "wide.npy", folder / "wide.npy", options, 4, 64, 0, 0)
        assert crops_seen(data, options) == CropSettings(margin=expected)


def test_a_training_goes_on_from_the_same_crops_alone(folder):
    require_crops_of(None, CropSettings(), "usual.npy")
    require_crops_of(folder / "wide.ckpt", WIDE, "wide.npy")
    with pytest.raises(
        UserError, match=r"usual\.npy is of crops with a margin of 0\.1, .*wide\.ckpt of 0\.25"
    ):
        require_crops_of(folder / "wide.ckpt", CropSettings(), "usual.npy")
    swapped = replace(WIDE, scheme=replace(WIDE.scheme, flip=[1, 0, *range(2, 17)]))
    require_crops_of(folder / "wide.ckpt", swapped, "wide.npy")  # a VAE never saw the points
    with pytest.raises(UserError, match="one run has one set of points"):
        require_crops_of(folder / "wide.ckpt", swapped, "wide.npy", with_points=True)
