"""The One Euro filter: still things stand still, moving ones are followed without delay.

Casiez, Roussel & Vogel, 1 Euro Filter, CHI 2012.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from configs.errors import UserError


@dataclass(frozen=True)
class Smoothing:
    """Parameters of the filter; lengths are fractions of an ear's diagonal, so that its size does not matter.

    least_cutoff_hz: of what stands still; lower is calmer and later. speed_gain: how much the cutoff rises
    with speed, Hz for a diagonal a second; higher is quicker where it moves. speed_cutoff_hz: of the speed
    itself.
    """

    least_cutoff_hz: float = 1.0
    speed_gain: float = 5.0
    speed_cutoff_hz: float = 1.0

    def __post_init__(self) -> None:
        """Raise UserError for values that make no filter."""
        if min(self.least_cutoff_hz, self.speed_cutoff_hz) <= 0 or self.speed_gain < 0:
            raise UserError(f"{self}: cutoffs must be above 0, the gain at least 0.")


USUAL = Smoothing()


class OneEuroFilter:
    """Of the points of one ear, each coordinate by itself."""

    def __init__(self, smoothing: Smoothing) -> None:
        self._smoothing = smoothing
        self._points_px: np.ndarray | None = None
        self._speed = np.zeros(0)  # px a second
        self._time_s = 0.0

    def __call__(self, points_px: np.ndarray, time_s: float, diagonal_px: float) -> np.ndarray:
        """(K, 2) px read at time_s, later than the last -> (K, 2) float32 px, smoothed."""
        if self._points_px is None:
            self._points_px, self._time_s = points_px.astype(np.float64), time_s
            self._speed = np.zeros_like(self._points_px)
            return points_px.astype(np.float32)
        seconds, gain = time_s - self._time_s, self._smoothing.speed_gain
        speed = (points_px - self._points_px) / seconds
        self._speed += _share(self._smoothing.speed_cutoff_hz, seconds) * (speed - self._speed)
        cutoff_hz = self._smoothing.least_cutoff_hz + gain * abs(self._speed) / diagonal_px
        self._points_px = self._points_px + _share(cutoff_hz, seconds) * (points_px - self._points_px)
        self._time_s = time_s
        return self._points_px.astype(np.float32)


def _share(cutoff_hz: np.ndarray | float, seconds: float) -> np.ndarray | float:
    """Of the new value in exponential smoothing with this cutoff (eq. 1 and 5)."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * seconds))
