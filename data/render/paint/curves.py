"""Splines and polylines: the small geometry that the anatomy is drawn with."""

from functools import lru_cache

import numpy as np


def spline(controls: np.ndarray, samples: int = 10, closed: bool = False) -> np.ndarray:
    """Catmull-Rom curve through controls (N, 2); every `samples`-th point of it is a control point."""
    weights = _catmull_rom(len(controls), samples, closed)
    return weights @ np.asarray(controls, np.float64)


@lru_cache(maxsize=64)
def _catmull_rom(count: int, samples: int, closed: bool) -> np.ndarray:
    t = np.arange(samples) / samples
    basis = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], 1
    )
    segments = count if closed else count - 1
    weights = np.zeros((segments * samples + (not closed), count))
    for segment in range(segments):
        rows = slice(segment * samples, (segment + 1) * samples)
        for offset in range(4):
            index = segment + offset - 1
            column = index % count if closed else int(np.clip(index, 0, count - 1))
            weights[rows, column] += basis[:, offset]
    if not closed:
        weights[-1, -1] = 1
    weights.setflags(write=False)
    return weights


def arc_length(curve: np.ndarray) -> np.ndarray:
    """Length along a polyline (N, 2) at each of its points, (N,) starting at 0."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])


def at_fraction(curve: np.ndarray, fractions) -> np.ndarray:
    """Points (M, 2) of a polyline at fractions 0..1 of its length."""
    length = arc_length(curve)
    wanted = np.asarray(fractions, np.float64) * length[-1]
    return np.stack([np.interp(wanted, length, curve[:, 0]), np.interp(wanted, length, curve[:, 1])], 1)


def piece(curve: np.ndarray, start: float, stop: float, count: int = 40) -> np.ndarray:
    """The part of a polyline between two fractions of its length, as `count` equally spaced points."""
    return at_fraction(curve, np.linspace(start, stop, count))
