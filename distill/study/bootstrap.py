"""A paired hierarchical bootstrap: test images and seeds drawn anew, the same ones for every arm.

Test images are drawn with replacement (Efron, 1979). Of S seeds, S - 1 are drawn with replacement: drawing S
would make the variance between so few seeds too small by (S - 1) / S (Rao & Wu, JASA 83, 1988). With one
seed the result holds for that seed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.bootstrap import percentile_interval, times_drawn

DRAWS = 2000
BEATS, SAME, WORSE = "BEATS", "NO DIFFERENCE", "WORSE"


@dataclass(frozen=True)
class Draws:
    """Which images and seeds each draw takes.

    images: (R, N), how often; seeds: (R, S), shares that add up to 1.
    """

    images: np.ndarray
    seeds: np.ndarray

    @classmethod
    def make(cls, images: int, seeds: int, draws: int = DRAWS, rng_seed: int = 0) -> Draws:
        """The same for the same numbers."""
        rng = np.random.default_rng([rng_seed, images])
        times = times_drawn(images, draws, rng)
        many = max(seeds - 1, 1)
        rng = np.random.default_rng([rng_seed, images, seeds])
        drawn = rng.integers(0, seeds, (draws, many))
        shares = (drawn[:, :, None] == np.arange(seeds)).mean(axis=1)
        return cls(times.astype(np.float64), shares)


@dataclass(frozen=True)
class Measured:
    """An arm's measure on all seeds and images: (S,), and with drawn images: (R, S)."""

    values: np.ndarray
    drawn: np.ndarray

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(self.values.mean())

    @property
    def seed_std(self) -> float | None:
        """From seed to seed; None with one."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else None

    def resampled(self, draws: Draws) -> np.ndarray:
        """(R,) with drawn images and drawn seeds."""
        return (self.drawn * draws.seeds).sum(axis=1)

    def interval(self, draws: Draws) -> list[float]:
        """95 %."""
        return percentile_interval(self.resampled(draws))


def measured_means(errors: Sequence[np.ndarray], draws: Draws) -> Measured:
    """Of a mean over images. errors: one (N,) a seed, NaN where nothing was to be measured."""
    stacked = np.stack(errors, axis=1)  # (N, S)
    known = ~np.isnan(stacked)
    sums, counts = draws.images @ np.where(known, stacked, 0), draws.images @ known
    drawn = sums / np.where(counts > 0, counts, np.nan)
    return Measured(np.nanmean(stacked, axis=0), drawn)


def compare(arm: Measured, baseline: Measured, draws: Draws, lower_is_better: bool = True) -> dict[str, Any]:
    """How the arm differs from the baseline, both with the same seeds and images.

    lower_is_better (an error): `difference` in % of the baseline; else (AP): in points, 0..100. With its 95 %
    `interval`; `verdict`; `each_seed`, the difference of each pair; `noise`, their standard deviation.
    """

    def differ(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        return 100 * (ours / theirs - 1) if lower_is_better else 100 * (ours - theirs)

    drawn = differ(arm.resampled(draws), baseline.resampled(draws))
    limits = percentile_interval(drawn)
    each_seed = differ(arm.values, baseline.values)
    return {
        "difference": float(differ(np.array(arm.mean), np.array(baseline.mean))),
        "interval": limits,
        "verdict": verdict(limits, lower_is_better),
        "each_seed": [float(value) for value in each_seed],
        "noise": float(each_seed.std(ddof=1)) if len(each_seed) > 1 else None,
    }


def verdict(limits: Sequence[float], lower_is_better: bool) -> str:
    """BEATS or WORSE when the interval leaves out 0, else NO DIFFERENCE."""
    low, high = limits
    if low <= 0 <= high:
        return SAME
    return BEATS if (high < 0) == lower_is_better else WORSE


def point_differences(
    arm: Sequence[np.ndarray], baseline: Sequence[np.ndarray], draws: Draws
) -> dict[str, list[float]]:
    """Of each landmark, arm minus baseline: `difference`, `low` and `high` (K,), fractions of the diagonal.

    arm, baseline: one (N, K) a seed, errors of each point; NaN where not annotated.
    """
    differences = np.stack([ours - theirs for ours, theirs in zip(arm, baseline, strict=True)], axis=2)
    images, points, seeds = differences.shape
    known = ~np.isnan(differences)
    flat = np.where(known, differences, 0).reshape(images, -1)
    counts = draws.images @ known.reshape(images, -1)
    drawn = ((draws.images @ flat) / np.where(counts > 0, counts, np.nan)).reshape(-1, points, seeds)
    drawn = (drawn * draws.seeds[:, None, :]).sum(axis=2)
    limits = np.array([percentile_interval(drawn[:, point]) for point in range(points)])
    means = np.nanmean(differences, axis=0).mean(axis=1)
    return {"difference": means.tolist(), "low": limits[:, 0].tolist(), "high": limits[:, 1].tolist()}
