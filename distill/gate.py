"""The labeller: what a fine-tuned EarDetector says of a crop, how far to trust it, and whether to at all."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from configs.errors import UserError
from configs.files import read_json
from distill.frozen import FrozenTeacher
from teacher.pictures import to_signed


class Prediction(NamedTuple):
    """Points of a batch of crops, in unit crop coordinates (`teacher.heatmaps`)."""

    points_unit: Tensor  # (B, K, 2)
    confidence: Tensor  # (B, K), 0..1, how concentrated the heatmaps are
    disagreement: Tensor  # (B, K), distance of the two readings, a fraction of the crop's side


def predict_points(labeller: FrozenTeacher, images: Tensor, flip: Sequence[int]) -> Prediction:
    """Read each crop twice, as it is and mirrored, and average: two readings err less than one.

    images: (B, 3, H, W) in [-1, 1]; flip: after mirroring, point k is read from point flip[k]. The network
    runs on the mirrored crop; its maps are never mirrored. The confidence is the lower of the two.
    """
    direct, mirrored = labeller.read(images), labeller.read(images.flip(-1))
    order = torch.as_tensor(list(flip), device=images.device)
    back_x, back_y = mirrored.points_unit[:, order].unbind(-1)
    back = torch.stack((1 - back_x, back_y), dim=-1)
    return Prediction(
        points_unit=(direct.points_unit + back) / 2,
        confidence=torch.minimum(direct.confidence, mirrored.confidence[:, order]),
        disagreement=(direct.points_unit - back).norm(dim=-1),
    )


def trust(confidence: Tensor, disagreement: Tensor, agreement_limit: float) -> Tensor:
    """Weight of each predicted point in the loss, 0..1; all (B, K).

    The confidence, times 1 where both readings agree, falling in a line to 0 where they lie
    `agreement_limit` (a fraction of the crop's side) apart.
    """
    return confidence * (1 - disagreement / agreement_limit).clamp(0, 1)


def score_labeller(
    labeller: FrozenTeacher, batches: Iterable[dict[str, Tensor]], flip: Sequence[int]
) -> dict[str, Any]:
    """The landmark report (`data.metrics`) of the labeller on held-out crops, read as it will label.

    batches: image (B, 3, H, W) uint8, points_px (B, K, 2) and visibility (B, K) of plain views.
    """
    from data.metrics import landmark_report

    found, wanted, visibility = [], [], []
    for batch in batches:
        images = to_signed(batch["image"])
        points_unit = predict_points(labeller, images, flip).points_unit
        found.append((points_unit * images.shape[-1] - 0.5).numpy())
        wanted.append(batch["points_px"].numpy())
        visibility.append(batch["visibility"].numpy())
    return landmark_report(*(np.concatenate(parts) for parts in (found, wanted, visibility)))


def gate_limit(gate_nme: float, twin_metrics: Path | None) -> tuple[float, str]:
    """The NME the labeller must stay below, and where it comes from.

    A labeller worse than the student that learnt from the labels alone (`twin_metrics`, the metrics.json of a
    run of distill.train --no-distill) can only spoil it. Raises UserError when that file holds no NME.
    """
    if twin_metrics is None:
        return gate_nme, "gate_nme"
    metrics = read_json(twin_metrics)
    value = metrics.get("nme") if isinstance(metrics, dict) else None
    if not isinstance(value, int | float):
        raise UserError(f"{twin_metrics}: no `nme` in it; give the metrics.json of a landmarker's twin.")
    return min(gate_nme, float(value)), f"{twin_metrics}" if value < gate_nme else "gate_nme"
