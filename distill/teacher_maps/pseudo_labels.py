"""Pseudo-labels of crops: a labeller's points, read twice, and the weight of each in the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.numbered_crops import MIRRORED, PLAIN


class Prediction(NamedTuple):
    """Points of a batch of crops, in unit crop coordinates (`teacher.models.heatmaps`)."""

    points_unit: Tensor  # (B, K, 2)
    confidence: Tensor  # (B, K), 0..1, how concentrated the heatmaps are
    disagreement: Tensor  # (B, K), distance of the two readings, a fraction of the crop's side


def predict_points(labeller: FrozenTeacher, images: Tensor, flip: Sequence[int]) -> Prediction:
    """Read each crop twice, as it is and mirrored, and average: two readings err less than one.

    images: (B, 3, H, W) in [-1, 1]; flip: after mirroring, point k is read from point flip[k]. The network
    runs on the mirrored crop; its maps are never mirrored. The confidence is the lower of the two.
    """
    return predict_views(labeller, images.unsqueeze(1), flip)


def predict_views(
    labeller: FrozenTeacher, views: Tensor, flip: Sequence[int], direct: Any | None = None
) -> Prediction:
    """`predict_points` of numbered crops, whose views hold the mirror image of the plain one already.

    views: (R, V, 3, H, W) in [-1, 1], R crops in V views; direct: the labeller's reading of them, where it
    is there already. Returns predictions for R * V images.
    """
    rows, numbers = views.shape[:2]
    direct = labeller.read(views.flatten(0, 1)) if direct is None else direct
    known = [MIRRORED, PLAIN] if numbers > MIRRORED else []  # each other's mirror image
    other = _by_view(direct, rows, numbers)[:, known]
    if rest := numbers - len(known):
        read = labeller.read(views[:, len(known) :].flip(-1).flatten(0, 1))
        other = torch.cat((other, _by_view(read, rows, rest)), dim=1)
    back_x, back_y, confidence = other.flatten(0, 1)[:, list(flip)].unbind(-1)
    back = torch.stack((1 - back_x, back_y), dim=-1)
    return Prediction(
        points_unit=(direct.points_unit + back) / 2,
        confidence=torch.minimum(direct.confidence, confidence),
        disagreement=(direct.points_unit - back).norm(dim=-1),
    )


def _by_view(reading: Any, rows: int, numbers: int) -> Tensor:
    """(R, V, K, 3): x, y and confidence."""
    values = torch.cat((reading.points_unit, reading.confidence.unsqueeze(-1)), dim=-1)
    return values.unflatten(0, (rows, numbers))


def trust(confidence: np.ndarray, disagreement: np.ndarray, agreement_limit: float) -> np.ndarray:
    """Weight of each predicted point in the loss, 0..1; arrays of one shape.

    The confidence, times 1 where both readings agree, falling in a line to 0 where they lie
    `agreement_limit` (a fraction of the crop's side) apart.
    """
    return confidence * (1 - disagreement / agreement_limit).clip(0, 1)
