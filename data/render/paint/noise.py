"""Smooth random fields."""

import cv2
import numpy as np


def field(rng: np.random.Generator, shape: tuple[int, int], cells: float, octaves: int = 1) -> np.ndarray:
    """Value noise (h, w) float32 of about unit spread; `cells` random cells along the longer side."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    norm = 0.0
    for octave in range(octaves):
        count = cells * 2**octave
        longest = max(shape)
        grid = (
            max(int(np.ceil(count * height / longest)), 1) + 3,
            max(int(np.ceil(count * width / longest)), 1) + 3,
        )
        values = rng.standard_normal(grid, dtype=np.float32)
        total += cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC) * 0.5**octave
        norm += 0.25**octave
    return total * np.float32(1.3 / np.sqrt(norm))


def grain(rng: np.random.Generator, shape: tuple[int, ...], sigma_px: float = 0.0) -> np.ndarray:
    """White noise of unit spread, optionally blurred and brought back to unit spread."""
    values = rng.standard_normal(shape, dtype=np.float32)
    if sigma_px > 0:
        values = cv2.GaussianBlur(values, (0, 0), sigma_px) * np.float32(2 * np.sqrt(np.pi) * sigma_px)
    return values
