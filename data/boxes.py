"""Overlap of boxes, in numpy. Boxes are edges x1, y1, x2, y2 in px; an empty or inverted one has no area."""

from __future__ import annotations

import numpy as np


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
