"""distill.study.average_precision against data.coco_ap, the reference."""

import numpy as np
import pytest

from data.coco_ap import coco_ap
from distill.study.average_precision import BoxesFound, matched_thresholds


def _detector(images: int, seed: int) -> tuple[list, list]:
    """Boxes found and true ones: hits of all qualities, doubles, misses, false alarms, empty images."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(images):
        corners = rng.uniform(0, 200, (rng.integers(0, 4), 2))
        true = np.concatenate([corners, corners + rng.uniform(20, 60, corners.shape)], axis=1)
        near = true[rng.random(len(true)) < 0.8].repeat(2, axis=0) if len(true) else true
        near = near + rng.normal(0, 3, near.shape)
        corners = rng.uniform(0, 200, (rng.integers(0, 5), 2))
        boxes = np.concatenate([near, np.concatenate([corners, corners + 40], axis=1)])
        scores = np.sort(rng.random(len(boxes)))[::-1]
        found.append((rng.permutation(boxes), scores))
        truth.append(true)
    return found, truth


def _boxes_found(found: list, truth: list) -> BoxesFound:
    matched = [matched_thresholds(boxes, true) for (boxes, _), true in zip(found, truth)]
    return BoxesFound([scores for _, scores in found], matched, [len(true) for true in truth])


@pytest.mark.parametrize("seed", range(4))
def test_all_images_once_is_coco_ap(seed):
    found, truth = _detector(25, seed)
    expected = coco_ap(found, truth)["ap"]
    assert 0.05 < expected < 0.95
    assert _boxes_found(found, truth).ap(np.ones(25)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_drawn_images_are_images_that_stand_there_several_times(seed):
    found, truth = _detector(15, seed)
    rows = np.random.default_rng(seed).integers(0, 15, 15)
    expected = coco_ap([found[row] for row in rows], [truth[row] for row in rows])["ap"]
    drawn = _boxes_found(found, truth).ap(np.bincount(rows, minlength=15))
    assert drawn == pytest.approx(expected, abs=1e-9)


def test_thresholds_by_hand():
    """IoU 1 passes all ten; its double none; 30 / 50 = .6 passes three (.50, .55, .60)."""
    true = np.array([[0.0, 0, 40, 40], [100, 0, 140, 40]])
    found = np.array([[0.0, 0, 40, 40], [0, 0, 40, 40], [109.99, 0, 149.99, 40]])
    assert matched_thresholds(found, true).tolist() == [0b1111111111, 0, 0b111]
    assert matched_thresholds(np.zeros((0, 4)), true).tolist() == []


def test_nothing_found_and_nothing_to_find():
    nothing = BoxesFound([[], []], [[], []], [1, 0])
    assert nothing.ap(np.array([1, 1])) == 0
    assert np.isnan(nothing.ap(np.array([0, 2])))
