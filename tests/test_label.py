"""distill.label: a landmarker's points as a manifest."""

import numpy as np
import pytest
import torch

from configs.errors import UserError
from data.dataset import EarCrops
from data.landmarks import load_scheme
from data.manifest import read_manifest
from data.tensors import to_signed
from distill import label
from distill.label import Config, main
from distill.teacher_maps import labelled_ears
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.options import PSEUDO_LABELLED
from distill.teacher_maps.pseudo_labels import predict_points
from students.models.checkpoint import build_student, save_student
from tests.drawn_ears import draw_ears


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five ears, and a landmarker of random weights."""
    folder = tmp_path_factory.mktemp("label")
    draw_ears(folder, "ears", photographs=5, seed=3)
    torch.manual_seed(2)
    save_student(folder / "student.pt", build_student("landmarker", {"width": 16, "image_px": 64}))
    return folder


def test_points_of_the_crop_come_out_on_the_photograph(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(label, "AGREEMENT_LIMIT", 10.0)
    monkeypatch.setattr(labelled_ears, "BATCH_SIZE", 2)
    config = Config(folder / "student.pt", folder / "ears.npy", tmp_path)
    labelled = read_manifest(main(config) / PSEUDO_LABELLED)
    ears = read_manifest(folder / "ears.npy")
    assert labelled.landmarks.shape == ears.landmarks.shape
    assert not np.allclose(labelled.landmarks, ears.landmarks, atol=1.0)  # its own, not those that were there
    np.testing.assert_array_equal(labelled.boxes_xyxy, ears.boxes_xyxy)
    assert (labelled.visibility == 2).all()
    # Seen in its crop again, each point is where the landmarker reads it.
    crops = EarCrops(labelled, 64)
    landmarker = FrozenTeacher.load_landmarker(folder / "student.pt")
    for row in range(len(crops)):
        item = crops[row]
        found = predict_points(landmarker, to_signed(item["image"][None]), load_scheme(None).flip)
        np.testing.assert_allclose(item["points_px"], found.points_unit[0] * 64 - 0.5, atol=1e-3)


def test_points_that_the_mirror_image_contradicts_are_not_labelled(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(label, "AGREEMENT_LIMIT", 1e-6)
    config = Config(folder / "student.pt", folder / "ears.npy", tmp_path)
    assert (read_manifest(main(config) / PSEUDO_LABELLED).visibility == 0).all()


def test_another_student_is_refused(folder, tmp_path):
    save_student(tmp_path / "detector.pt", build_student("detector", {"width": 16}))
    with pytest.raises(UserError, match="landmarker"):
        main(Config(tmp_path / "detector.pt", folder / "ears.npy", tmp_path))
