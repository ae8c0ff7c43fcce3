"""Soft covers: how one thing lies over another."""

import numpy as np


def step(values: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    t = np.clip((np.asarray(values, np.float32) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def over(below: np.ndarray, above: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Colour `above` (..., 3) laid over `below` (h, w, 3) where `cover` (h, w) is 1."""
    return (below + (above - below) * np.asarray(cover, np.float32)[..., None]).astype(np.float32)


def oval(
    u: np.ndarray, v: np.ndarray, centre: tuple[float, float], radii: tuple[float, float], soft: float
) -> np.ndarray:
    """1 inside an ellipse, 0 outside, with an edge of relative width `soft`."""
    radius = np.sqrt(np.square((u - centre[0]) / radii[0]) + np.square((v - centre[1]) / radii[1]))
    return step(-radius, -1 - soft / 2, -1 + soft / 2).astype(np.float32)


def to_fixed(points: np.ndarray) -> np.ndarray:
    """Points px -> whole sixteenths of a pixel, what OpenCV draws with `shift=4`."""
    return np.round(np.asarray(points) * 16).astype(np.int32)
