"""Average precision and non-maximum suppression against cases by hand and torchvision."""

import numpy as np
import pytest
import torch
from torchvision import ops

from data.boxes import box_iou, nms_numpy
from data.coco_ap import coco_ap
from students.inference.boxes import detections_numpy
from teacher.models.dense.postprocess import detections

NOTHING = (np.zeros((0, 4)), np.zeros(0))


def _square(x: float, side: float = 40.0) -> list[float]:
    return [x, 0.0, x + side, side]


def test_ap50_by_hand():
    """Three ears; found in order of score: true, false, true. The third ear is missed.

    Precision 1 at recall 1/3 and 2/3 at recall 2/3. COCO samples recall at 0, .01 .. 1: 34 levels up to
    1/3, 33 up to 2/3 (.34 .. .66), 34 with precision 0.
    """
    found = [
        (np.array([_square(0), _square(100)]), np.array([0.9, 0.8])),
        (np.array([_square(0)]), np.array([0.7])),
        NOTHING,
    ]
    truth = [np.array([_square(0)]), np.array([_square(0)]), np.array([_square(0)])]
    result = coco_ap(found, truth)
    expected = (34 * 1 + 33 * 2 / 3) / 101
    assert result["ap50"] == pytest.approx(expected, abs=1e-6)
    assert result["ap"] == pytest.approx(expected, abs=1e-6)  # the true ones fit exactly, at every IoU
    assert result["recall50"] == pytest.approx(2 / 3)
    assert result["precision50"][:34] == pytest.approx([1.0] * 34)
    assert result["precision50"][67:] == pytest.approx([0.0] * 34)


def test_ap_counts_the_thresholds_that_a_box_passes():
    """IoU 30 * 40 / (50 * 40) = .6 passes .50, .55 and .60, three of ten."""
    found = [(np.array([_square(10)]), np.array([0.9]))]
    truth = [np.array([_square(0)])]
    assert box_iou(found[0][0], truth[0]).item() == pytest.approx(0.6)
    result = coco_ap([(np.array([[9.99, 0, 49.99, 40]]), np.array([0.9]))], truth)
    assert result["ap50"] == pytest.approx(1.0)
    assert result["ap75"] == pytest.approx(0.0)
    assert result["ap"] == pytest.approx(0.3)
    assert result["recall"] == pytest.approx(0.3)


def test_sizes_are_told_apart():
    truth = [np.array([_square(0, 20)]), np.array([_square(0, 50)]), np.array([_square(0, 200)])]
    found = [(truth[0], np.array([0.9])), NOTHING, NOTHING]
    result = coco_ap(found, truth)
    assert (result["ap_small"], result["ap_medium"], result["ap_large"]) == pytest.approx((1.0, 0.0, 0.0))
    only_large = coco_ap(found[2:], truth[2:])
    assert only_large["ap_small"] is None


def test_a_false_alarm_on_an_empty_frame_costs_precision():
    ear = (np.array([_square(0)]), np.array([0.8]))
    truth = [np.array([_square(0)]), np.zeros((0, 4))]
    assert coco_ap([ear, NOTHING], truth)["ap50"] == pytest.approx(1.0)
    louder = (np.array([_square(0)]), np.array([0.9]))
    assert coco_ap([ear, louder], truth)["ap50"] == pytest.approx(0.5)


def test_nothing_found_is_zero_and_nothing_to_find_is_refused():
    result = coco_ap([NOTHING], [np.array([_square(0)])])
    assert result["ap"] == result["ap50"] == result["recall"] == 0
    with pytest.raises(ValueError, match="no ear in any image"):
        coco_ap([NOTHING], [np.zeros((0, 4))])


def _random_boxes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(5, 40, (count, 2))), axis=1).astype(np.float32)
    return boxes, rng.permutation(count).astype(np.float32) / count


@pytest.mark.parametrize("seed", range(4))
def test_nms_equals_torchvision(seed):
    boxes, scores = _random_boxes(80, seed)
    order = np.argsort(-scores)
    expected = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.5).tolist()
    assert order[nms_numpy(boxes[order], 0.5)].tolist() == expected


def test_iou_equals_torchvision_and_empty_boxes_have_none():
    boxes, _ = _random_boxes(30, 0)
    expected = ops.box_iou(torch.from_numpy(boxes), torch.from_numpy(boxes)).numpy()
    np.testing.assert_allclose(box_iou(boxes, boxes), expected, atol=1e-6)
    empty = np.array([[3.0, 3.0, 3.0, 3.0]])
    assert box_iou(empty, empty).item() == 0


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.1])
def test_detections_agree_between_torch_and_numpy(threshold):
    boxes, scores = _random_boxes(400, 5)
    logits = torch.logit(torch.from_numpy(scores), eps=1e-6)[None]
    ((torch_boxes, torch_scores),) = detections(logits, torch.from_numpy(boxes)[None], threshold, 0.5)
    numpy_boxes, numpy_scores = detections_numpy(torch.sigmoid(logits[0]).numpy(), boxes, threshold, 0.5)
    np.testing.assert_array_equal(torch_boxes.numpy(), numpy_boxes)
    np.testing.assert_allclose(torch_scores.numpy(), numpy_scores)
    assert (np.diff(numpy_scores) <= 0).all()


def test_suppression_by_hand():
    """B overlaps A by 2/3 and goes; C overlaps B only and stays."""
    boxes = np.array([[0.0, 0, 10, 10], [2, 0, 12, 10], [8, 0, 18, 10]])
    assert nms_numpy(boxes, 0.5).tolist() == [0, 2]
    assert nms_numpy(np.zeros((0, 4)), 0.5).tolist() == []
