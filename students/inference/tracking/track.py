"""One ear that is followed: where its points were last, how it moves, when it was seen."""

from __future__ import annotations

import numpy as np

from students.inference.rescoring import points_extent
from students.inference.tracking.one_euro import OneEuroFilter, Smoothing

CARRIED = 0.5  # of the last motion: an ear that turns round is not overshot
STEADY_S = 0.1  # over which its speed is averaged


class Track:
    """identity: counted from 0 in the order of appearance; score: of the ear when last looked for."""

    def __init__(
        self, identity: int, points_px: np.ndarray, score: float, time_s: float, smoothing: Smoothing | None
    ) -> None:
        self.identity, self.score, self.since_s = identity, score, time_s
        self.seen_s = time_s
        self.missed_looks = 0  # of the detector, since it last saw the ear
        self._filter = None if smoothing is None else OneEuroFilter(smoothing)
        self._speed = np.zeros(2)  # px a second, of the middle
        self._points_px = points_px
        self.smoothed_px = self._smoothed(points_px, time_s)

    def expected_px(self, time_s: float) -> np.ndarray:
        """(K, 2) px where its points should be by now: its last motion carried on, less and less."""
        seconds = min(time_s - self.seen_s, STEADY_S)
        return self._points_px + (CARRIED * seconds * self._speed).astype(np.float32)

    def follow(self, points_px: np.ndarray, time_s: float) -> None:
        """It was read at (K, 2) px at time_s, later than the last time."""
        seconds = time_s - self.seen_s
        speed = (points_px.mean(axis=0) - self._points_px.mean(axis=0)) / seconds
        share = min(1.0, seconds / STEADY_S)
        self._speed = self._speed + share * (speed - self._speed)
        self._points_px, self.seen_s = points_px, time_s
        self.smoothed_px = self._smoothed(points_px, time_s)

    def _smoothed(self, points_px: np.ndarray, time_s: float) -> np.ndarray:
        if self._filter is None:
            return points_px
        box = points_extent(points_px)
        return self._filter(points_px, time_s, float(np.linalg.norm(box[2:] - box[:2])))
