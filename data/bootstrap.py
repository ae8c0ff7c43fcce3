"""95 % intervals by the percentile bootstrap (Efron, 1979): examples are drawn again with replacement."""

from __future__ import annotations

import numpy as np

INTERVAL = (2.5, 97.5)  # percent
_DRAWS_AT_ONCE = 50  # bounds the memory of a draw of many examples


def interval_of_mean(values: np.ndarray, draws: int, seed: int = 0) -> tuple[float, float]:
    """(low, high) of the mean of `values` (N,), N at least 1; the same seed gives the same draws."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(axis=1)
    low, high = np.percentile(means, INTERVAL)
    return float(low), float(high)


def resampled_sums(sums: np.ndarray, draws: int, seed: int = 0) -> np.ndarray:
    """(N, ...) what each example adds to some sums -> (draws, ...), the sums over drawn examples.

    All sums share the same draws. N = 0 gives no draws.
    """
    examples = len(sums)
    rng = np.random.default_rng(seed)
    drawn = [np.empty((0, *sums.shape[1:]))]
    for start in range(0, draws if examples else 0, _DRAWS_AT_ONCE):
        many = min(_DRAWS_AT_ONCE, draws - start)
        times = times_drawn(examples, many, rng)
        drawn.append((times @ sums.reshape(examples, -1)).reshape(many, *sums.shape[1:]))
    return np.concatenate(drawn)


def times_drawn(examples: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, examples) int: how often each draw of so many examples takes each of them."""
    drawn = (rng.integers(0, examples, examples) for _ in range(draws))
    return np.stack([np.bincount(taken, minlength=examples) for taken in drawn])


def percentile_interval(resampled: np.ndarray) -> list[float] | None:
    """[low, high] of (draws,) results; NaN (a draw that measured nothing) is left out, None if all are."""
    usable = resampled[~np.isnan(resampled)]
    return np.percentile(usable, INTERVAL).tolist() if len(usable) else None
