"""How well points are predicted in crops that are tighter or looser than those of the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from data.crops import MARGIN
from data.metrics import nme

# Borders around the box, as fractions of its longer side: what detectors of all kinds may hand over.
BOX_MARGINS = (0.0, 0.05, 0.10, 0.15, 0.20, 0.25)


def tightness_report(
    points_px_at: Mapping[float, np.ndarray],
    target_px: np.ndarray,
    visibility: np.ndarray,
    trained_margin: float = MARGIN,
) -> dict[str, Any]:
    """JSON-able: `margins`, the mean `nme` at each, and `worst_ratio`, the worst over that at trained_margin.

    points_px_at: margin -> (N, K, 2) points predicted in crops with it, px of the photograph, trained_margin
    (that of the training) among them; target_px: (N, K, 2); visibility: (N, K). Missed ears are left out;
    None where all were missed.
    """
    means = {}
    for margin, points_px in points_px_at.items():
        errors = nme(points_px, target_px, visibility)
        errors = errors[np.isfinite(errors)]
        means[margin] = float(errors.mean()) if len(errors) else None
    known = [value for value in means.values() if value is not None]
    trained = means[trained_margin]
    return {
        "margins": list(means),
        "nme": list(means.values()),
        "worst_ratio": max(known) / trained if trained else None,
    }
