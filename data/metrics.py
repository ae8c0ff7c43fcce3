"""How far predicted landmarks lie from the true ones, by the measures of the literature, with intervals.

Errors are fractions of the diagonal of the ear's box, the box being the extent of the annotated true points.
What is not annotated counts nowhere. An ear with a predicted point that is not a number counts as missed: not
in the means of errors, but as a failure in PCK, AUC, failure rate and error curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.bootstrap import percentile_interval, resampled_sums
from data.manifest import HIDDEN, VISIBLE

PCK_LIMITS = (0.02, 0.05, 0.10)
FAILURE_NME = 0.10  # above it an ear has failed; also where the area under the error curve ends
CED_STEPS = 101  # points of the error curve from 0 to FAILURE_NME
DRAWS = 1000  # of the bootstrap


def nme(pred: np.ndarray, target: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """Normalised mean error per ear (N,), a fraction of the box diagonal (Zhou & Zafeiriou, CVPR 2017).

    pred, target: (N, K, 2) px; visibility: (N, K), 0 where not annotated. NaN for an ear with fewer than two
    annotated points (there is no diagonal), infinity for one whose prediction holds NaN.
    """
    return _mean_over_points(point_errors(pred, target, visibility))


def point_errors(pred: np.ndarray, target: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """(N, K) distance of each point, a fraction of the box diagonal; arguments as `nme`.

    NaN where not annotated. Infinity in all of an ear's annotated points when its prediction is not finite.
    """
    pred, target, annotated = _checked(pred, target, visibility)
    known = np.where(annotated[..., None], target, np.nan)
    errors = np.linalg.norm(pred - known, axis=2) / _diagonals(known)[:, None]
    missed = (~np.isfinite(pred).all(axis=2) & annotated).any(axis=1)
    errors[missed] = np.where(
        annotated[missed] & np.isfinite(_diagonals(known[missed]))[:, None], np.inf, np.nan
    )
    return errors


def error_curve(errors: np.ndarray, end: float = FAILURE_NME) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative error distribution: (CED_STEPS,) errors from 0 to `end`, the share of ears up to each."""
    measured = np.sort(errors[~np.isnan(errors)])
    at = np.linspace(0, end, CED_STEPS)
    return at, np.searchsorted(measured, at, side="right") / max(len(measured), 1)


def landmark_report(
    pred: np.ndarray,
    target: np.ndarray,
    visibility: np.ndarray,
    names: Sequence[str] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """All measures of a set of ears, ready for JSON; arguments as `nme`, `names` of the K points.

    nme, nme_median; pck_0.02, pck_0.05, pck_0.10 (share of points nearer than that); auc (area under the
    error curve up to 0.10, 0..1); fr (share of ears with an NME above 0.10); hidden and visible with `points`
    and `nme` of their own; per_landmark with `nme` (K,); ced with `error` and `fraction`; ears, missed (ears
    without a finite prediction) and skipped (fewer than two annotated points). NAME_interval beside a value:
    its 95 % interval, by drawing ears with replacement. None where nothing can be measured.
    """
    errors = point_errors(pred, target, visibility)
    per_ear = _mean_over_points(errors)
    measured, found = ~np.isnan(per_ear), np.isfinite(per_ear)
    seen, hidden = np.asarray(visibility) == VISIBLE, np.asarray(visibility) == HIDDEN
    near = {f"pck_{limit:.2f}": _point_sums(errors <= limit, ~np.isnan(errors)) for limit in PCK_LIMITS}
    columns = {
        "nme": _ear_sums(np.where(found, per_ear, 0), found),
        **near,
        "auc": _ear_sums(np.maximum(0, 1 - np.where(found, per_ear, np.inf) / FAILURE_NME), measured),
        "fr": _ear_sums(per_ear > FAILURE_NME, measured),
        "hidden": _point_sums(errors, hidden & np.isfinite(errors)),
        "visible": _point_sums(errors, seen & np.isfinite(errors)),
    }
    for landmark in range(errors.shape[1]):
        column = errors[:, landmark]
        columns[f"landmark {landmark}"] = _ear_sums(column, np.isfinite(column))
    values, intervals = _with_intervals(columns, seed, draws)
    report: dict[str, Any] = {
        "ears": int(measured.sum()),
        "missed": int((measured & ~found).sum()),
        "skipped": int((~measured).sum()),
        "nme_median": float(np.median(per_ear[found])) if found.any() else None,
    }
    for name in ("nme", *near, "auc", "fr"):
        report |= {name: values[name], f"{name}_interval": intervals[name]}
    for name, chosen in (("hidden", hidden), ("visible", seen)):
        points = int((chosen & np.isfinite(errors)).sum())
        report[name] = {"points": points, "nme": values[name], "nme_interval": intervals[name]}
    order = [f"landmark {landmark}" for landmark in range(errors.shape[1])]
    report["per_landmark"] = {
        "names": list(names) if names is not None else [str(index) for index in range(len(order))],
        "nme": [values[name] for name in order],
        "nme_interval": [intervals[name] for name in order],
    }
    at, share = error_curve(per_ear)
    report["ced"] = {"error": at.tolist(), "fraction": share.tolist()}
    return report


def _checked(
    pred: np.ndarray, target: np.ndarray, visibility: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float64 copies; raises ValueError when shapes disagree or an annotated point is no number."""
    pred, target = np.asarray(pred, dtype=np.float64), np.asarray(target, dtype=np.float64)
    annotated = np.asarray(visibility) > 0
    if (
        pred.shape != target.shape
        or pred.ndim != 3
        or pred.shape[2] != 2
        or annotated.shape != pred.shape[:2]
    ):
        raise ValueError(
            f"points must be (N, K, 2) and visibility (N, K), "
            f"found {pred.shape}, {target.shape}, {annotated.shape}"
        )
    if (annotated & ~np.isfinite(target).all(axis=2)).any():
        raise ValueError("an annotated target point (visibility above 0) is NaN or infinite")
    return pred, target, annotated


def _diagonals(known: np.ndarray) -> np.ndarray:
    """(N,) px, of the extent of what is not NaN in (N, K, 2); NaN where that is empty or a single place."""
    unknown = np.isnan(known)
    high = np.where(unknown, -np.inf, known).max(axis=1, initial=-np.inf)
    low = np.where(unknown, np.inf, known).min(axis=1, initial=np.inf)
    diagonal = np.linalg.norm(np.where(high >= low, high - low, 0), axis=1)
    return np.where(diagonal > 0, diagonal, np.nan)


def _mean_over_points(errors: np.ndarray) -> np.ndarray:
    """(N, K) -> (N,), over what is not NaN; NaN where nothing is."""
    known = ~np.isnan(errors)
    return np.where(known, errors, 0).sum(axis=1) / np.where(known.any(axis=1), known.sum(axis=1), np.nan)


def _ear_sums(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """(N, 2): what each ear adds to the numerator and to the denominator of a mean over ears."""
    return np.column_stack([np.where(counted, values, 0), counted]).astype(np.float64)


def _point_sums(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """(N, 2): the same for a mean over points, from (N, K)."""
    return np.column_stack([np.where(counted, values, 0).sum(axis=1), counted.sum(axis=1)]).astype(np.float64)


def _with_intervals(
    columns: dict[str, np.ndarray], seed: int, draws: int
) -> tuple[dict[str, float | None], dict[str, list[float] | None]]:
    """Means and their 95 % intervals by the percentile bootstrap over ears (Efron, 1979).

    columns: name -> (N, 2) numerators and denominators. All measures share the same draws.
    """
    sums = np.stack(list(columns.values()), axis=1)  # (N, measures, 2)
    means, resampled = _ratios(sums.sum(axis=0)), _ratios(resampled_sums(sums, draws, seed))
    values: dict[str, float | None] = {}
    intervals: dict[str, list[float] | None] = {}
    for number, name in enumerate(columns):
        values[name] = None if np.isnan(means[number]) else float(means[number])
        intervals[name] = percentile_interval(resampled[:, number])
    return values, intervals


def _ratios(sums: np.ndarray) -> np.ndarray:
    """(..., 2) -> (...), numerator over denominator, NaN where that is 0."""
    return sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan)
