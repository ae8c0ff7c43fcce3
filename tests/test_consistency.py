"""How far readings of one ear differ under known warps."""

import cv2
import numpy as np
import pytest

from data.crop_settings import CropSettings
from data.manifest import Manifest
from students.evaluation.consistency import EAR_PX, VIEW_PX, ear_view, evaluate_consistency, warps
from students.inference.reading import PredictedPoints

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


class SpotReader:
    """Knows exactly where three coloured spots are, and, by `jitter`, is off to the right in turned views."""

    def __init__(self, jitter=0.0):
        self.jitter, self.flip, self.crops, self.num_landmarks = jitter, (0, 1, 2), CropSettings(), 3

    def read(self, photographs, boxes_xyxy, margin=None):
        points = []
        for rgb in photographs:
            rgb = rgb.astype(float)
            found = []
            for channel in range(3):
                rest = np.delete(rgb, channel, axis=2).max(axis=2)
                weight = (rgb[..., channel] - rest).clip(min=0) ** 2 + 1e-9
                y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
                found.append([(weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()])
            points.append(found)
        points = np.array(points, np.float32)
        if len(photographs[0]) == VIEW_PX and not np.allclose(points[0, 0, 0], self.upright, atol=0.5):
            points[..., 0] += self.jitter
        return PredictedPoints(points, np.ones(points.shape[:2], np.float32))


@pytest.fixture
def spots(tmp_path):
    """An ear of three spots, and its manifest."""
    rgb = np.zeros((300, 300, 3), np.uint8)
    for colour, place in zip(COLOURS, [(120, 110), (180, 140), (150, 190)], strict=True):
        cv2.circle(rgb, place, 6, colour, -1)
    cv2.imwrite(str(tmp_path / "ear.png"), rgb[..., ::-1])
    return rgb, Manifest(np.array([str(tmp_path / "ear.png")]), np.array([[100, 90, 200, 210]], np.float32))


def test_what_reads_the_same_whatever_is_done_differs_by_nothing(spots):
    rgb, manifest = spots
    reader = SpotReader()
    reader.upright = reader_upright(rgb, manifest)
    metrics, arrays = evaluate_consistency({"landmarker": reader}, manifest)
    of_warps = metrics["landmarker"]["consistency"]["warps"]
    # grey has no colours to read spots by
    assert max(value for name, value in of_warps.items() if name != "grey") < 0.01
    assert of_warps["grey"] > 0.1
    assert arrays["consistency_landmarker"].shape == (1, len(warps()), 3)


def test_a_shift_in_turned_views_is_measured_in_fractions_of_the_diagonal(spots):
    rgb, manifest = spots
    reader = SpotReader(jitter=5.0)
    reader.upright = reader_upright(rgb, manifest)
    metrics, _ = evaluate_consistency({"landmarker": reader}, manifest)
    scale = EAR_PX / 120  # of the box's longer side
    diagonal = scale * np.hypot(180 - 120, 190 - 110)
    of_warps = metrics["landmarker"]["consistency"]["warps"]
    for name in ("turned by 30 degrees", "turned by -60 degrees", "mirrored"):
        assert of_warps[name] == pytest.approx(5 / diagonal, abs=0.01), name
    assert of_warps["box 40 % looser"] < 0.01
    assert metrics["landmarker"]["consistency"]["mean"] == pytest.approx(np.mean(list(of_warps.values())))


def reader_upright(rgb, manifest):
    """x of the first spot in the view as it is."""
    view, _ = ear_view(rgb, manifest.boxes_xyxy[0])
    plain = SpotReader()
    plain.upright = np.inf
    plain.jitter = 0.0
    return plain.read([view], [None]).points_px[0, 0, 0]


def test_the_view_holds_the_ear_in_its_middle():
    view, box = ear_view(np.zeros((500, 400, 3), np.uint8), np.array([100, 100, 160, 200], np.float32))
    assert view.shape == (VIEW_PX, VIEW_PX, 3)
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, VIEW_PX / 2, atol=0.01)
    assert box[3] - box[1] == pytest.approx(EAR_PX, abs=0.01)
