"""Colours and places for clutter, in sRGB bytes."""

import numpy as np


def some_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Mostly greyish, now and then strong."""
    grey = rng.uniform(15, 245)
    return tuple(int(v) for v in np.clip(grey + rng.normal(0, 1, 3) * rng.uniform(2, 45), 0, 255))


def skin_like(rng: np.random.Generator) -> tuple[int, int, int]:
    """A tone that skin may have."""
    tone = np.array([225, 170, 140]) * rng.uniform(0.3, 1.05) + rng.normal(0, 12, 3)
    return tuple(int(v) for v in np.clip(tone, 0, 255))


def shaded(colour: tuple[int, int, int], by: float) -> tuple[int, int, int]:
    """The colour times a factor, within 0..255."""
    return tuple(int(np.clip(value * by, 0, 255)) for value in colour)


def place(
    rng: np.random.Generator, image: np.ndarray, low: float = 0.03, high: float = 0.5
) -> tuple[np.ndarray, float]:
    """A random centre (x, y) px and a size px, `low` to `high` of the picture's height."""
    rows, columns = image.shape[:2]
    return rng.uniform(0, 1, 2) * (columns, rows), rows * np.exp(rng.uniform(np.log(low), np.log(high)))
