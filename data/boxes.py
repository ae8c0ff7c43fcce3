"""Overlap of boxes, and which of many count; numpy only.

Boxes are edges x1, y1, x2, y2 in px; an empty or inverted one has no area.
"""

from __future__ import annotations

import numpy as np

BOX_THRESHOLD = 0.5  # for use without points; evaluation keeps all above EVALUATION_SCORE: AP needs the tail
EVALUATION_SCORE = 0.01
NMS_IOU = 0.5
MAX_CANDIDATES = 300  # the best cells that enter NMS: one ear claims some 10 of them


def box_iou(first_xyxy: np.ndarray, second_xyxy: np.ndarray) -> np.ndarray:
    """(n, 4) and (m, 4) px -> (n, m) float64, intersection over union of every pair."""
    first = np.asarray(first_xyxy, dtype=np.float64).reshape(-1, 1, 4)
    second = np.asarray(second_xyxy, dtype=np.float64).reshape(1, -1, 4)
    return iou(first, second)


def paired_iou(first_xyxy: np.ndarray, second_xyxy: np.ndarray) -> np.ndarray:
    """(n, 4) and (n, 4) px -> (n,) float64, of the boxes in the same row. ValueError for other lengths."""
    first = np.asarray(first_xyxy, dtype=np.float64).reshape(-1, 4)
    second = np.asarray(second_xyxy, dtype=np.float64).reshape(-1, 4)
    if len(first) != len(second):
        raise ValueError(f"boxes are paired row by row, found {len(first)} and {len(second)}")
    return iou(first, second)


def iou(first_xyxy: np.ndarray, second_xyxy: np.ndarray) -> np.ndarray:
    """(..., 4) and (..., 4) px of float, broadcast -> (...), in their precision; 0 where both are empty."""
    shared = intersection(first_xyxy, second_xyxy)
    union = area(first_xyxy) + area(second_xyxy) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def intersection(first_xyxy: np.ndarray, second_xyxy: np.ndarray) -> np.ndarray:
    """(..., 4) and (..., 4) px, broadcast -> (...) px², the area that both cover."""
    upper_left = np.maximum(first_xyxy[..., :2], second_xyxy[..., :2])
    lower_right = np.minimum(first_xyxy[..., 2:], second_xyxy[..., 2:])
    return (lower_right - upper_left).clip(min=0).prod(axis=-1)


def area(boxes_xyxy: np.ndarray) -> np.ndarray:
    """(..., 4) px -> (...) px²."""
    return (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).clip(min=0).prod(axis=-1)


def nms_numpy(boxes_xyxy: np.ndarray, nms_iou: float, inside: float = 1.0) -> np.ndarray:
    """Greedy non-maximum suppression: boxes (n, 4), best first -> indices kept, best first.

    Also suppressed is a box that shares more than `inside` of the smaller area with a better one.
    """
    overlap = box_iou(boxes_xyxy, boxes_xyxy)
    shared = intersection(boxes_xyxy[:, None], boxes_xyxy[None])
    smaller = np.minimum.outer(area(boxes_xyxy), area(boxes_xyxy))
    suppressed = np.zeros(len(boxes_xyxy), dtype=bool)
    kept = []
    for index in range(len(boxes_xyxy)):
        if not suppressed[index]:
            kept.append(index)
            suppressed |= (overlap[index] > nms_iou) | (shared[index] > inside * smaller[index])
    return np.array(kept, dtype=np.int64)
