"""Label efficiency: how many labels the baseline needs to reach what an arm reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_ROUNDING = 1e-9  # of the logarithms there and back


def falling_curve(errors: Sequence[float]) -> np.ndarray:
    """The nearest curve that never rises, by least squares of logarithms: noise is not unlearning."""
    from scipy.optimize import isotonic_regression

    return np.exp(isotonic_regression(np.log(np.asarray(errors, dtype=np.float64)), increasing=False).x)


def labels_to_reach(labels: Sequence[float], errors: Sequence[float], error: float) -> tuple[float, str]:
    """At how many labels the falling curve through (labels, errors) reaches `error`, and `=`, `<=` or `>=`.

    Straight lines between the points, both axes logarithmic. `<=` with the fewest labels when those are
    enough already, `>=` with the most when those are not.
    """
    curve = falling_curve(errors)
    if np.isclose(error, curve[0], rtol=_ROUNDING):
        return float(labels[0]), "="
    if error > curve[0]:
        return float(labels[0]), "<="
    if error < curve[-1] * (1 - _ROUNDING):
        return float(labels[-1]), ">="
    after = int(np.argmax(curve <= error * (1 + _ROUNDING)))  # the first good enough; not the very first
    x, y = np.log(labels[after - 1 : after + 1]), np.log(curve[after - 1 : after + 1])
    part = (np.log(error) - y[0]) / (y[1] - y[0])
    return float(np.exp(x[0] + part * (x[1] - x[0]))), "="


def label_efficiency(
    labels: Sequence[float],
    baseline: Sequence[float],
    baseline_drawn: np.ndarray,
    own_labels: float,
    own: float,
    own_drawn: np.ndarray,
) -> dict[str, Any]:
    """What an arm's labels are worth in labels of the baseline.

    labels, baseline: (B,) the baseline's curve; baseline_drawn: (R, B) with drawn images and seeds;
    own_labels, own, own_drawn (R,): the arm's. Errors, lower is better. Returns `labels`, `bound` (=, <= or
    >=), `times` (labels over own_labels) and `interval`, 95 % of `times`, each limit with its bound.
    """
    reached, bound = labels_to_reach(labels, baseline, own)
    drawn = [
        labels_to_reach(labels, curve, value)[0]
        for curve, value in zip(baseline_drawn, own_drawn, strict=True)
        if np.isfinite(curve).all() and np.isfinite(value)
    ]
    limits = np.percentile(drawn, [2.5, 97.5], method="nearest")
    return {
        "labels": reached,
        "bound": bound,
        "times": reached / own_labels,
        "interval": [
            {"times": float(limit) / own_labels, "bound": _bound(float(limit), labels)} for limit in limits
        ],
    }


def _bound(reached: float, labels: Sequence[float]) -> str:
    if reached <= labels[0]:
        return "<="
    return ">=" if reached >= labels[-1] else "="
