"""Resume is honest: a training goes on only with what its checkpoint was trained on; doubts are said."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from configs.errors import UserError
from data.augmentation import FrameConfig
from data.labels import choose_labels
from data.manifest import Manifest, write_manifest
from distill.student.detector_data import detector_data
from distill.student.fit import resume_point
from distill.student.options import AugmentationOptions, BatchOptions, DistillationOptions, LabelOptions
from students import export
from students.inference.pipeline import PRETRAINED
from teacher.frames.fit import frame_data
from teacher.training.callbacks import TrainedOn
from teacher.training.resume import TRAINED_ON, differences, find_resume, trained_on


def manifest(folder: Path, ears: int, shift: float = 0.0) -> Path:
    """Ears with 17 points in pictures of their own."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(ears):
        paths.append(str(folder / "images" / f"{number}.png"))
        Image.new("RGB", (40, 40), (number, 0, 0)).save(paths[-1])
    points = np.full((ears, 17, 2), 20, np.float32) + shift
    boxes = np.tile(np.array([5, 5, 35, 35], np.float32), (ears, 1))
    return write_manifest(folder / "ears.npy", Manifest(np.array(paths), boxes, points))


def record(path: Path, seed: int = 0, lr: float = 0.02, batch_size: int = 64, labels: int = 6) -> dict:
    return trained_on({"labelled_npy": path, "val_npy": None}, seed, lr, batch_size, labels)


def checkpoint(folder: Path, kept: dict | None, **others: object) -> Path:
    """A training checkpoint as Lightning writes it, without weights."""
    content = {"optimizer_states": [], "epoch": 1, "hyper_parameters": {}, "state_dict": {}, **others}
    if kept is not None:
        content[TRAINED_ON] = kept
    torch.save(content, folder / "last.ckpt")
    return folder / "last.ckpt"


def test_the_same_goes_on_even_from_another_folder(tmp_path: Path) -> None:
    path = manifest(tmp_path / "a", 6)
    last = checkpoint(tmp_path, record(path))
    assert find_resume("auto", tmp_path, record(path)) == last
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert find_resume("auto", tmp_path, record(tmp_path / "b/ears.npy")) == last
    assert find_resume(str(last), tmp_path / "elsewhere", record(tmp_path / "b/ears.npy")) == last
    assert find_resume("", tmp_path, record(tmp_path / "b/ears.npy", seed=3)) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"labels": 5},
            r"trained on something else: labels 6 -> 5\. Go on with the same, or leave out --resume",
        ),
        ({"seed": 7}, r": seed 0 -> 7\."),
        ({"lr": 1e-5, "batch_size": 8}, r": lr 0\.02 -> 1e-05; batch_size 64 -> 8\."),
    ],
)
def test_another_setting_is_refused_by_its_name(tmp_path: Path, changes: dict, sentence: str) -> None:
    path = manifest(tmp_path, 6)
    checkpoint(tmp_path, record(path))
    with pytest.raises(UserError, match=sentence):
        find_resume("auto", tmp_path, record(path, **changes))


def test_other_data_are_refused(tmp_path: Path) -> None:
    path, other = manifest(tmp_path / "a", 6), manifest(tmp_path / "b", 5)
    checkpoint(tmp_path, record(path))
    with pytest.raises(UserError, match=r"labelled_npy .*a/ears.npy \(6 ears\) -> .*b/ears.npy \(5 ears\)"):
        find_resume("auto", tmp_path, record(other))
    manifest(tmp_path / "a", 6, shift=1.0)  # the same ears, points corrected
    with pytest.raises(UserError, match=r"a/ears.npy \(6 ears\), whose content has changed"):
        find_resume("auto", tmp_path, record(path))
    more = trained_on({"labelled_npy": path, "not_ears_npy": (other,)}, 0, 0.02, 64, 6)
    assert len(differences(record(path), more)) == 1
    assert differences(record(path), more)[0].startswith("not_ears_npy none -> ")


def test_a_checkpoint_from_before_goes_on_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    last = checkpoint(tmp_path, None)
    assert find_resume("auto", tmp_path, record(manifest(tmp_path, 6))) == last
    assert "that these are the same cannot be checked" in capsys.readouterr().out


def test_every_checkpoint_keeps_what_it_was_trained_on(tmp_path: Path) -> None:
    wanted, content = record(manifest(tmp_path, 6)), {"optimizer_states": []}
    TrainedOn(wanted).on_save_checkpoint(None, None, content)
    torch.save(content, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)[TRAINED_ON] == wanted
    assert wanted["labels"] == 6 and wanted["manifests"]["labelled_npy"][0]["ears"] == 6


def test_a_student_of_another_kind_is_refused_by_what_differs(tmp_path: Path) -> None:
    kind = {"kind": "distill.landmarker", "model": {"image_px": 128, "width": 8}, "steps": 6}
    path = manifest(tmp_path, 6)
    checkpoint(tmp_path, record(path), hyper_parameters=kind)
    assert resume_point("auto", tmp_path, kind, record(path)) == (tmp_path / "last.ckpt", 2)
    other = {**kind, "model": {"image_px": 64, "width": 8}, "steps": 12}
    with pytest.raises(UserError, match=r"of another training: model.image_px 128 -> 64; steps 6 -> 12\."):
        resume_point("auto", tmp_path, other, record(path))


def test_what_is_doubtful_about_labels_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    points = np.zeros((12, 17, 2), np.float32)
    seen = np.full((12, 17), 2)
    seen[:, 5] = 0
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (12, 1))
    train = Manifest(np.array([f"{row}.png" for row in range(12)]), boxes, points, seen)
    one, two = write_manifest(tmp_path / "one.npy", train), tmp_path / "two.npy"
    write_manifest(two, train.select(np.array([0, 1])))
    choose_labels(one, two, 0, 17, seed=0)
    said = capsys.readouterr().out
    assert "2 of the 2 held-out ears are in images that are trained on" in said
    assert "judged on 2 ears" in said
    assert f"no ear to train on has these points: {train.crops.scheme.names[5]}\n" in said
    others = Manifest(np.array([f"b{row}.png" for row in range(12)]), boxes, points)
    write_manifest(one, others)
    choose_labels(one, write_manifest(two, replace(others, image_paths=train.image_paths)), 0, 17, seed=0)
    assert capsys.readouterr().out == ""


def test_backgrounds_alone_are_refused(tmp_path: Path) -> None:
    nothing = Manifest(np.empty(0, str), np.empty((0, 4)), empty_images=np.array(["a.png"]))
    bare, val = write_manifest(tmp_path / "bare.npy", nothing), manifest(tmp_path, 2)
    parts = LabelOptions(val_npy=val), DistillationOptions(distill=False), BatchOptions()
    with pytest.raises(UserError, match="a detector learns nothing from backgrounds alone"):
        detector_data((bare,), 64, *parts, AugmentationOptions(), 1, 0, 0)
    with pytest.raises(UserError, match="no ear in any photograph; nothing can be learnt"):
        frame_data((bare,), val, 64, FrameConfig(), 2, 1, 0, 0, 0)
    config = export.Config(
        detector=PRETRAINED[0].with_suffix(".pt"), frames_npy=bare, output_dir=tmp_path / "out"
    )
    with pytest.raises(UserError, match="bare.npy: holds no ear; the exported detector is checked on"):
        export.main(config)
