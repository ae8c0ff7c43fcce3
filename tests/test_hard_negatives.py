"""Hard negatives: which of a detector's boxes are no ears, and what a landmarker makes of them."""

import numpy as np
import pytest
import torch
from PIL import Image

from configs.errors import UserError
from data.augmentation import GeometryConfig, PhotometryConfig
from data.crop_settings import CropSettings
from data.dataset import EarCrops
from data.manifest import Manifest, read_manifest, write_manifest
from data.transforms import Geometry, Photometry
from distill import hard_negatives as command
from distill.student.batches import CropBatches
from distill.student.fit import first_student
from distill.student.module import LandmarkerModule
from distill.student.plan import BatchMix
from distill.teacher_maps import hard_negatives

EAR = [10.0, 10, 30, 40]
FOUND = np.array(
    [[11, 11, 31, 41], [40, 40, 60, 70], [10, 25, 30, 55], [70, 10, 90, 40], [2, 2, 6, 8], [60, 50, 80, 80]],
    np.float32,
)
SCORES = np.array([0.9, 0.8, 0.7, 0.4, 0.3, 0.01], np.float32)


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """One photograph with an ear, in which a detector finds FOUND."""
    Image.fromarray(np.full((100, 100, 3), 90, np.uint8)).save(tmp_path / "0.png")
    monkeypatch.setattr(
        hard_negatives, "find_boxes", lambda detector, images: [(FOUND, SCORES)] * len(images)
    )
    return Manifest(np.array([str(tmp_path / "0.png")]), np.array([EAR], np.float32))


def test_boxes_on_ears_small_ones_and_unlikely_ones_are_left_out(frames):
    """By hand: the first is the ear, the third shares a third with it, the fifth has 6 px, the last 0.01."""
    found = hard_negatives.hard_negatives(None, frames)
    np.testing.assert_array_equal(found.boxes_xyxy, FOUND[[1, 3]])
    np.testing.assert_array_equal(found.scores, SCORES[[1, 3]])


def test_where_a_model_found_the_ears_what_it_may_have_missed_is_left_out(frames):
    pseudo_labelled = Manifest(frames.image_paths, frames.boxes_xyxy, scores=np.array([0.8]))
    found = hard_negatives.hard_negatives(None, pseudo_labelled)
    np.testing.assert_array_equal(found.boxes_xyxy, FOUND[[3]])


def test_the_command_joins_manifests_and_says_how_many(frames, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("students.evaluation.box_finders.load_box_finder", lambda path: None)
    npy = write_manifest(tmp_path / "frames.npy", frames)
    output = command.main(command.Config(tmp_path / "student.pt", (npy, npy), tmp_path / "out"))
    assert len(read_manifest(output / "not_ears.npy")) == 4
    assert "4 boxes that are no ears, in 1 photographs" in capsys.readouterr().out


@pytest.fixture
def batch(frames):
    """Four ears with points and one crop without."""
    points = np.tile(np.linspace(12, 28, 17, dtype=np.float32)[None, :, None], (1, 1, 2))
    labelled = Manifest(frames.image_paths, frames.boxes_xyxy, points)
    drawn = {"geometry": Geometry(GeometryConfig(), 64), "photometry": Photometry(PhotometryConfig())}
    not_ears = EarCrops(hard_negatives.hard_negatives(None, frames), 64, **drawn)
    return CropBatches(EarCrops(labelled, 64, **drawn), BatchMix(4, 0), not_ears=not_ears)[0]


def test_a_batch_has_a_quarter_more_crops_without_ears_and_no_points_for_them(batch):
    assert batch["not_ears"] == 1
    assert batch["image"].shape == (5, 3, 64, 64)
    assert batch["points_px"].shape == (4, 17, 2)


@pytest.mark.trains
def test_a_landmarker_learns_to_tell_them_apart(batch):
    """Fifty steps on one batch: its ears are ears, and what shows none is none."""
    torch.manual_seed(0)
    student = first_student("landmarker", {"image_px": 64, "width": 16}, None, CropSettings(), scores=True)
    module = LandmarkerModule(student, None, steps=50, ema_decay=0)
    batch["image"][-1] = torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8)
    optimizer = torch.optim.AdamW(student.parameters(), 3e-3)
    for step in range(50):
        optimizer.zero_grad()
        module.training_step(batch, step).backward()
        optimizer.step()
    ear = student.eval().train()(batch["image"] / 255)[3]
    assert ear[:4].min() > 0.8
    assert ear[4] < 0.3


def test_a_detector_takes_none(frames):
    with pytest.raises(UserError, match="not_ears_npy: the landmarker learns from these"):
        first_student("detector", {}, None, CropSettings(), scores=True)
