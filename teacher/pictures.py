"""Tensors to pixels and pictures to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GAP_PX = 2
GAP_GREY = 255


def to_signed(images: Tensor) -> Tensor:
    """uint8 images to float in [-1, 1], the range of the teacher; runs on the tensor's device."""
    return images.float() / 127.5 - 1


def to_pixels(images: Tensor) -> np.ndarray:
    """images: (B, 3, H, W) in [-1, 1]. Returns (B, H, W, 3) uint8 RGB; values outside are clipped."""
    pixels = ((images.detach().float() + 1) * 127.5).round().clamp(0, 255)
    return pixels.permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()


def grid(rows: list[np.ndarray]) -> np.ndarray:
    """rows: one array (n, H, W, 3) uint8 a row of pictures, all of one size. Returns one picture (H', W',
    3).
    """
    columns = max(len(row) for row in rows)
    height, width = rows[0].shape[1:3]
    canvas = np.full(
        (len(rows) * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 3), GAP_GREY, np.uint8
    )
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            top, left = y * (height + GAP_PX), x * (width + GAP_PX)
            canvas[top : top + height, left : left + width] = picture
    return canvas


def pairs_grid(originals: np.ndarray, reconstructions: np.ndarray, columns: int = 12) -> np.ndarray:
    """Originals above, their reconstructions below, wrapped after `columns`. Both (n, H, W, 3) uint8."""
    rows = []
    for start in range(0, len(originals), columns):
        rows += [originals[start : start + columns], reconstructions[start : start + columns]]
    return grid(rows)


def write_picture(path: str | Path, rgb: np.ndarray) -> Path:
    """Write (H, W, 3) uint8 RGB as PNG or JPEG, whole or not at all."""
    import cv2

    from configs.files import write_atomic

    done, encoded = cv2.imencode(Path(path).suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"{path}: cannot encode a picture of shape {rgb.shape}")
    return write_atomic(path, lambda temporary: temporary.write_bytes(encoded.tobytes()))
