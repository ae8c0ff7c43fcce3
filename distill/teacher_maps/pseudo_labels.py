"""The labeller: what a fine-tuned EarDetector says of a crop, how far to trust it, and whether to at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from configs.errors import UserError
from configs.files import read_json
from data.dataset import EarCrops
from data.manifest import Manifest
from data.tensors import to_signed
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.numbered_crops import MIRRORED, PLAIN

AGREEMENT_LIMIT = 0.05  # of the crop's side: where the labeller contradicts its mirror image, it is not heard


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
    """The same for the numbered views of crops, which hold the mirror image of the plain one already.

    views: (R, V, 3, H, W) in [-1, 1], R crops in V views; direct: what the labeller reads from them, where
    that is known. Returns predictions for R * V images.
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


@dataclass(frozen=True)
class Verdict:
    """The labeller's score on held-out labels and what follows from it; stands in the index of kept maps."""

    nme: float
    ears: int
    limit: float
    limit_from: str
    admitted: bool

    def __str__(self) -> str:
        outcome = "its predictions are kept" if self.admitted else "its predictions are NOT kept"
        sign = "<=" if self.admitted else ">"
        return (
            f"labeller: NME {self.nme:.4f} on {self.ears} held-out ears {sign} {self.limit:.4f} "
            f"({self.limit_from}), {outcome}"
        )


def judge_labeller(
    labeller: FrozenTeacher,
    held_out: Manifest,
    flip: Sequence[int],
    limit: tuple[float, str],
    crop_px: int,
    margin: float,
    batch_size: int,
    device: torch.device,
) -> Verdict:
    """Score the labeller on held-out ears, read as it will label. limit: as `gate_limit` gives it."""
    from data.metrics import nme

    crops = EarCrops(held_out, crop_px, margin)
    errors = []
    for start in range(0, len(crops), batch_size):
        items = [crops[row] for row in range(start, min(start + batch_size, len(crops)))]
        images = to_signed(torch.stack([item["image"] for item in items]).to(device))
        found_px = predict_points(labeller, images, flip).points_unit.cpu().numpy() * crop_px - 0.5
        truth_px = np.stack([item["points_px"] for item in items])
        visibility = np.stack([item["visibility"] for item in items])
        errors.append(nme(found_px, truth_px, visibility))
    value = float(np.nanmean(np.concatenate(errors)))
    return Verdict(value, len(crops), *limit, admitted=value <= limit[0])


def gate_limit(gate_nme: float, twin_metrics: Path | None) -> tuple[float, str]:
    """The NME the labeller must not exceed, and where it comes from.

    A labeller worse than the student that learnt from the labels alone (`twin_metrics`, the metrics.json of a
    run of distill.train --no-distill) can only spoil it. Raises UserError when that file holds no NME.
    """
    if twin_metrics is None:
        return gate_nme, "gate_nme"
    metrics = read_json(twin_metrics)
    value = metrics.get("nme") if isinstance(metrics, dict) else None
    if not isinstance(value, int | float):
        raise UserError(f"{twin_metrics}: no `nme` in it; give the metrics.json of a landmarker's twin.")
    return (float(value), str(twin_metrics)) if value < gate_nme else (gate_nme, "gate_nme")
