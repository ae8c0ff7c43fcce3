"""`predictions.png`: a student's predictions on held-out images, beside the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from data.dataset import EarCrops, Frames
from data.draw import draw_boxes, draw_points, picture_grid
from data.landmarks import Scheme
from data.tensors import to_unit
from distill.student.module import predicted_points_px
from teacher.models.dense.postprocess import detections

CROPS, CROPS_A_ROW, CROP_GROWTH = 24, 8, 2
FRAMES, FRAMES_A_ROW = 12, 4
TRUE_BOX = (255, 255, 255)


def predictions_picture(student: nn.Module, held_out: EarCrops | Frames, scheme: Scheme) -> np.ndarray:
    """(H, W, 3) uint8 of images spread over the held-out set.

    Crops: predicted points and the curves of `scheme`, below each row the true ones. Frames: found boxes in
    colour, true ones white.
    """
    if isinstance(held_out, Frames):
        return _frames_picture(student, [held_out[index] for index in _spread(len(held_out), FRAMES)])
    items = [held_out[index] for index in _spread(len(held_out), CROPS)]
    found = predicted_points_px(student, torch.stack([item["image"] for item in items])).numpy()
    rows: list[np.ndarray] = []
    for start in range(0, len(items), CROPS_A_ROW):
        some = items[start : start + CROPS_A_ROW]
        filler = [np.full_like(_pixels(items[0]), 255).repeat(CROP_GROWTH, 0).repeat(CROP_GROWTH, 1)]
        missing = filler * (CROPS_A_ROW - len(some) if start else 0)
        for points in (found[start:], [item["points_px"].numpy() for item in some]):
            rows += [
                draw_points(_pixels(item), point, item["visibility"].numpy(), scheme, CROP_GROWTH)
                for item, point in zip(some, points, strict=False)
            ] + missing
    return picture_grid(rows, columns=min(CROPS_A_ROW, len(items)))


@torch.no_grad()
def _frames_picture(student: nn.Module, items: list[dict[str, Any]]) -> np.ndarray:
    logits, boxes = student(to_unit(torch.stack([item["image"] for item in items])))
    pictures = [
        draw_boxes(draw_boxes(_pixels(item), item["boxes_xyxy"].numpy(), TRUE_BOX), found.numpy())
        for item, (found, _) in zip(items, detections(logits, boxes), strict=True)
    ]
    return picture_grid(pictures, columns=min(FRAMES_A_ROW, len(items)))


def _spread(length: int, count: int) -> list[int]:
    """Indices spread evenly: the first ones of a manifest are often of one kind."""
    return sorted({round(index) for index in np.linspace(0, length - 1, min(count, length))})


def _pixels(item: dict[str, Any]) -> np.ndarray:
    """(H, W, 3) uint8."""
    return np.ascontiguousarray(item["image"].numpy().transpose(1, 2, 0))
