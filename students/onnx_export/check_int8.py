"""An int8 file against the float32 file that it was made from: how far points and boxes move."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.boxes import BOX_THRESHOLD
from students.inference.onnx_file import open_model

# Means beyond which a student quantises badly. An NME of 0.0155 grows by 3 % where points move by 0.004.
MOST_MOVED = {"landmarker": 0.004, "detector": 0.01}  # of the diagonal of an ear's points, or of a box
MOST_SCORE = 0.02  # of confidences, or of the scores of boxes
SMALLEST_DIAGONAL = 1e-3  # of an input's side: of points that lie on each other


def compare_int8(fp32: Path, int8: Path, kind: str, images: Sequence[np.ndarray]) -> dict[str, Any]:
    """JSON-able: `moved`, the mean distance of a point between both, a fraction of the diagonal of the ear's
    points, or of a corner, of a box's diagonal; `score_difference`, the mean of confidences or scores;
    `checked_images`; and whether it `quantises_badly`.

    images: as of `students.onnx_export.pipeline_inputs`. Boxes are those of the cells that BOX_THRESHOLD
    lets pass, and each input's best.
    """
    first, second = (open_model(path, kind, threads=1)[0] for path in (fp32, int8))
    moved, differences = [], []
    for image in images:
        places, scores, *_ = first.run(None, {"image": image})
        places_int8, scores_int8, *_ = second.run(None, {"image": image})
        if kind == "detector":  # corners are points of a box
            seen = (scores >= BOX_THRESHOLD) | (scores == scores.max())
            places, places_int8 = (boxes[seen].reshape(-1, 2, 2) for boxes in (places, places_int8))
            scores, scores_int8 = scores[seen], scores_int8[seen]
        least = SMALLEST_DIAGONAL * (image.shape[-1] if kind == "detector" else 1)
        moved.append(relative_distances(places, places_int8, least).ravel())
        differences.append(np.abs(scores_int8 - scores).ravel())
    report = {
        "moved": float(np.concatenate(moved).mean()),
        "score_difference": float(np.concatenate(differences).mean()),
        "checked_images": sum(map(len, images)),
    }
    # Written so that NaN is bad too.
    fine = report["moved"] <= MOST_MOVED[kind] and report["score_difference"] <= MOST_SCORE
    return report | {"quantises_badly": not fine}


def relative_distances(points: np.ndarray, others: np.ndarray, least_diagonal: float) -> np.ndarray:
    """Distances (N, K) between points (N, K, 2) and others, over the diagonal of the former's extent."""
    diagonal = np.linalg.norm(points.max(axis=1) - points.min(axis=1), axis=-1)
    return np.linalg.norm(others - points, axis=-1) / np.maximum(diagonal, least_diagonal)[:, None]
