"""Rendered photographs of any size with as many ears as wanted: the same ones each time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data.crops import GREY, apply_to_boxes, letterbox_matrix
from data.render.scene.scene import render_scene

SIZES = ((320, 240), (512, 512), (1280, 960), (4000, 3000))  # width and height, px
SEEDS = {0: 7000, 1: 7005, 3: 7023}  # by the number of ears: scenes that show them whole
SCENE_PX = (480, 640)


@dataclass(frozen=True)
class Photograph:
    """An image (H, W, 3) uint8 and the boxes (n, 4) px of its ears."""

    image: np.ndarray
    boxes_xyxy: np.ndarray

    @property
    def name(self) -> str:
        """Width x height and the number of ears."""
        height, width = self.image.shape[:2]
        ears = len(self.boxes_xyxy)
        return f"{width}x{height}, {ears} ear{'' if ears == 1 else 's'}"


def photograph(width: int, height: int, ears: int) -> Photograph:
    """A rendered scene with so many ears of SEEDS, on a grey border where its proportions are others."""
    scene = render_scene(SEEDS[ears], image_px=SCENE_PX)
    matrix = letterbox_matrix(*SCENE_PX, max(width, height))
    matrix[:, 2] -= [max(0, height - width) / 2, max(0, width - height) / 2]
    image = cv2.warpAffine(scene.image, matrix, (width, height), borderValue=(GREY, GREY, GREY))
    return Photograph(image, apply_to_boxes(matrix, scene.boxes_xyxy))
