"""Tensors to pixels and pictures to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.draw import picture_grid

BLANK = 255  # where a row of pictures ends early


def to_pixels(images: Tensor) -> np.ndarray:
    """images: (B, 3, H, W) in [-1, 1]. Returns (B, H, W, 3) uint8 RGB; values outside are clipped."""
    pixels = ((images.detach().float() + 1) * 127.5).round().clamp(0, 255)
    return pixels.permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()


def pairs_grid(originals: np.ndarray, reconstructions: np.ndarray, columns: int = 12) -> np.ndarray:
    """Originals above, their reconstructions below, wrapped after `columns`. Both (n, H, W, 3) uint8.

    Returns one picture (H', W', 3) uint8.
    """
    columns = min(columns, len(originals))
    pictures: list[np.ndarray] = []
    for start in range(0, len(originals), columns):
        for row in (originals[start : start + columns], reconstructions[start : start + columns]):
            pictures += [*row, *[np.full_like(row[0], BLANK)] * (columns - len(row))]
    return picture_grid(pictures, columns, gap_px=2)


def spread_targets(dataset: Any, count: int) -> Tensor:
    """(n, 3, H, W) uint8: up to `count` targets spread evenly over a dataset of ears."""
    rows = range(0, len(dataset), max(1, len(dataset) // count))
    return torch.stack([dataset[row]["target"] for row in list(rows)[:count]])
