"""COCO's average precision of drawn images: each image counts as often as it was drawn.

`data.coco_ap` asks the reference implementation, once; here two thousand draws of the same
images are measured, so matching is done once and only the precision is computed again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_LEVELS = np.linspace(0, 1, 101)
IMAGES_BOXES = 100  # of an image's boxes only so many count, the best (COCO's maxDets)


def matched_thresholds(found_xyxy: np.ndarray, true_xyxy: np.ndarray) -> np.ndarray:
    """(n,) int: bit k is set where the box is an ear at IOU_THRESHOLDS[k].

    found_xyxy: (n, 4), best first; true_xyxy: (m, 4), px.
    """
    from students.evaluation.frame_detections import match

    bits = np.zeros(len(found_xyxy), dtype=np.int64)
    for number, threshold in enumerate(IOU_THRESHOLDS):
        owners = match(found_xyxy, true_xyxy, threshold)
        bits[owners[owners >= 0]] |= 1 << number
    return bits


class BoxesFound:
    """What a detector found in N images: scores, and the thresholds at which each box is an ear.

    scores, matched: N lists, best first; matched as `matched_thresholds` gives it. ears: (N,).
    """

    def __init__(
        self, scores: Sequence[Sequence[float]], matched: Sequence[Sequence[int]], ears: Sequence[int]
    ) -> None:
        image = np.repeat(np.arange(len(scores)), [len(part) for part in scores])
        flat = np.concatenate([np.asarray(part, dtype=np.float64) for part in scores])
        bits = np.concatenate([np.asarray(part, dtype=np.int64) for part in matched])
        order = np.argsort(-flat, kind="mergesort")  # as COCO sorts: of equal scores the earlier image first
        self._image = image[order]
        thresholds = np.arange(len(IOU_THRESHOLDS))[:, None]
        self._hits = ((bits[order] >> thresholds) & 1).astype(np.float64)  # (thresholds, boxes)
        self._ears = np.asarray(ears, dtype=np.float64)

    def ap(self, times: np.ndarray) -> float:
        """Mean over the thresholds of the precision at 101 recalls; times: (N,) how often each image counts.

        NaN when no ear was drawn.
        """
        ears = float(times @ self._ears)
        if ears == 0:
            return float("nan")
        weight = times[self._image].astype(np.float64)
        there = weight > 0
        weight, hits = weight[there], self._hits[:, there]
        if not len(weight):
            return 0.0
        true = np.cumsum(hits * weight, axis=1)
        precision = true / np.cumsum(weight)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        precision = np.concatenate([precision, np.zeros((len(precision), 1))], axis=1)
        reached = [np.searchsorted(row, RECALL_LEVELS, side="left") for row in true / ears]
        return float(np.take_along_axis(precision, np.stack(reached), axis=1).mean())
