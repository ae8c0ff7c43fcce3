"""Boxes that were found in photographs, rescored and refined by the points that are predicted in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from students.evaluation.point_readers import PointReader
from students.inference.rescoring import rescore_and_suppress


def ears_of(
    reader: PointReader,
    images: Sequence[np.ndarray],
    proposals: Sequence[tuple[np.ndarray, np.ndarray]],
    must_overlap: bool = False,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each image and its proposals the ears: boxes (m, 4) px, scores (m,) and points (m, K, 2) px.

    proposals: boxes (n, 4) px and scores (n,) of a detector; must_overlap: as of
    `students.inference.rescoring.rescore_and_suppress`.
    """
    counts = [len(scores) for _, scores in proposals]
    if sum(counts) == 0:
        empty = np.empty((0, 4)), np.empty(0), np.empty((0, reader.num_landmarks, 2))
        return [empty for _ in images]
    repeated = [image for image, count in zip(images, counts, strict=True) for _ in range(count)]
    proposed_boxes = np.concatenate([boxes for boxes, _ in proposals])
    predicted = reader.read(repeated, proposed_boxes, upright=not must_overlap)
    ends = np.cumsum(counts)[:-1]
    points_px, sureness = np.split(predicted.points_px, ends), np.split(predicted.sureness, ends)
    ears = []
    for image, proposed, *points in zip(images, proposals, points_px, sureness, strict=True):
        boxes, scores, rows = rescore_and_suppress(*proposed, *points, image.shape, must_overlap=must_overlap)
        ears.append((boxes, scores, points[0][rows]))
    return ears
