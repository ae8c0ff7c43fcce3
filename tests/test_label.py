"""distill.label: a landmarker's points as a manifest."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from configs.errors import UserError
from data.dataset import EarCrops
from data.landmarks import load_scheme
from data.manifest import Manifest, read_manifest, write_manifest
from data.tensors import to_signed
from distill import label
from distill.label import Config, main
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.many_readings import read_many
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


def test_many_readings_of_a_landmarker_that_is_never_wrong_agree(tmp_path):
    """Its points are bright spots, found in any view; the mean is where they are."""
    ears = draw_spots(tmp_path)
    points, spread = read_many(SpotLandmarker(), ears, 14)
    np.testing.assert_allclose(points, ears.landmarks, atol=0.6)
    assert spread.max() < 0.01


def test_readings_that_differ_are_averaged_and_their_spread_is_told(tmp_path):
    ears = draw_spots(tmp_path)
    points, spread = read_many(SpotLandmarker(mirrored_shift=0.1), ears, 2)
    side_px = 60 * 1.2  # of the window
    # a shift to the right in the mirrored view is one to the left in the photograph
    np.testing.assert_allclose(points[..., 0], ears.landmarks[..., 0] - 0.05 * side_px, atol=0.6)
    assert spread == pytest.approx(0.05, abs=0.005)
    with pytest.raises(UserError, match="readings=3: an even number from 2 to 14"):
        read_many(SpotLandmarker(), ears, 3)


class SpotLandmarker:
    """Reads 17 points, all of which are the brightest spot; in mirrored views beside it."""

    image_px = 128

    def __init__(self, mirrored_shift=0.0):
        self.shift = mirrored_shift

    def read(self, images):
        light = images.min(dim=1).values.add(1).div(2).clamp(min=0) ** 4
        grid = (torch.arange(128) + 0.5) / 128
        total = light.sum(dim=(1, 2))
        x = (light.sum(dim=1) * grid).sum(dim=1) / total
        y = (light.sum(dim=2) * grid).sum(dim=1) / total
        x[len(x) // 2 :] += self.shift
        points = torch.stack((x, y), dim=1)[:, None].expand(-1, 17, 2).clone()
        return SimpleNamespace(points_unit=points)


def draw_spots(folder):
    rgb = np.zeros((200, 160, 3), np.uint8)
    cv2.circle(rgb, (70, 90), 3, (255, 255, 255), -1)
    cv2.imwrite(str(folder / "spot.png"), rgb)
    landmarks = np.tile(np.array([70, 90], np.float32), (1, 17, 1))
    return Manifest(
        np.array([str(folder / "spot.png")]), np.array([[45, 60, 95, 120]], np.float32), landmarks
    )


def test_ears_whose_boxes_are_unsure_are_left_out(folder, tmp_path):
    ears = read_manifest(folder / "ears.npy")
    unsure = replace(ears, scores=np.array([0.9, 0.5, 0.7, 0.2, 0.6], np.float32))
    write_manifest(tmp_path / "found.npy", unsure)
    config = Config(folder / "student.pt", tmp_path / "found.npy", tmp_path)
    labelled = read_manifest(main(config) / PSEUDO_LABELLED)
    np.testing.assert_array_equal(labelled.boxes_xyxy, ears.boxes_xyxy[[0, 2, 4]])
    write_manifest(tmp_path / "none.npy", replace(ears, scores=np.full(5, 0.3, np.float32)))
    with pytest.raises(UserError, match="no box in it has a score of 0.6 or more"):
        main(Config(folder / "student.pt", tmp_path / "none.npy", tmp_path))
