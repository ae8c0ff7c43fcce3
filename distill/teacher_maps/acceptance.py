"""The acceptance test: a labeller's predictions are kept only if it errs little on held-out labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from configs.errors import UserError
from configs.reading.content import read_json
from data.crop_settings import CropSettings
from data.dataset import EarCrops
from data.manifest import Manifest, require_landmarks
from data.metrics import nme
from data.tensors import to_signed
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.numbered_crops import read_ears
from distill.teacher_maps.options import ACCEPTANCE_NME, BATCH_SIZE, CROP_PX, LabellerOptions
from distill.teacher_maps.pseudo_labels import predict_points

FOR_ALL = "gate_nme"  # where the limit for all labellers comes from, as kept maps name it since the first


@dataclass(frozen=True)
class Acceptance:
    """The labeller's NME on held-out labels and what follows; stands as "gate" in the index of kept maps.

    limit: largest NME with which it is admitted; limit_from: a twin's metrics.json, or FOR_ALL.
    """

    nme: float
    ears: int
    limit: float
    limit_from: str
    admitted: bool

    def __str__(self) -> str:
        outcome = "its predictions are kept" if self.admitted else "its predictions are NOT kept"
        sign = "<=" if self.admitted else ">"
        source = "for all labellers" if self.limit_from == FOR_ALL else self.limit_from
        return (
            f"labeller: NME {self.nme:.4f} on {self.ears} held-out ears {sign} {self.limit:.4f} "
            f"({source}), {outcome}"
        )


def admitted_labeller(
    options: LabellerOptions,
    teacher: FrozenTeacher,
    checkpoint: Path,
    crops: CropSettings,
    bf16: bool,
    fabric: Fabric,
) -> tuple[FrozenTeacher | None, Acceptance | None]:
    """The labeller if it passes the acceptance test, and the result; None and None without an ear_detector.

    teacher: of `checkpoint`, and the labeller itself where that is the same file; crops: of the ears to be
    labelled. The first process judges for all. Raises UserError for held-out ears or a labeller of other
    crop settings, and as manifests and checkpoints do.
    """
    if options.ear_detector is None:
        return None, None
    limit = acceptance_limit(options.acceptance_metrics)
    held_out = read_ears(options.acceptance_npy)
    held_out.crops.require_same(crops, f"{options.acceptance_npy}", "train_npy")
    require_landmarks(held_out, crops.num_landmarks, options.acceptance_npy)
    if options.ear_detector.resolve() == checkpoint.resolve() and teacher.kind == "EarDetector":
        labeller = teacher
    else:
        labeller = FrozenTeacher.load(options.ear_detector, "EarDetector", bf16=bf16)
    crops.require_same(labeller.crops, "train_npy", f"{options.ear_detector}")
    labeller.to(fabric.device)
    result = None
    if fabric.is_global_zero:
        result = judge_labeller(labeller, held_out, limit, fabric.device)
        print(result)
    result = fabric.broadcast(result)
    return labeller if result.admitted else None, result


def judge_labeller(
    labeller: FrozenTeacher,
    held_out: Manifest,
    limit: tuple[float, str],
    device: torch.device,
) -> Acceptance:
    """Score the labeller on held-out ears, read as it will label. limit: of `acceptance_limit`."""
    crops, flip = EarCrops(held_out, CROP_PX), held_out.crops.scheme.flip
    errors = []
    for start in range(0, len(crops), BATCH_SIZE):
        items = [crops[row] for row in range(start, min(start + BATCH_SIZE, len(crops)))]
        images = to_signed(torch.stack([item["image"] for item in items]).to(device))
        found_px = predict_points(labeller, images, flip).points_unit.cpu().numpy() * CROP_PX - 0.5
        truth_px = np.stack([item["points_px"] for item in items])
        visibility = np.stack([item["visibility"] for item in items])
        errors.append(nme(found_px, truth_px, visibility))
    value = float(np.nanmean(np.concatenate(errors)))
    return Acceptance(value, len(crops), *limit, admitted=value <= limit[0])


def acceptance_limit(twin_metrics: Path | None) -> tuple[float, str]:
    """The NME that a labeller must not exceed, and where it comes from.

    A labeller worse than the student that was trained on the labels alone (`twin_metrics`, the metrics.json
    of a run of distill.train --no-distill) can only spoil it. Raises UserError when that file holds no NME.
    """
    if twin_metrics is None:
        return ACCEPTANCE_NME, FOR_ALL
    metrics = read_json(twin_metrics)
    value = metrics.get("nme") if isinstance(metrics, dict) else None
    if not isinstance(value, int | float):
        raise UserError(f"{twin_metrics}: no `nme` in it; give the metrics.json of a landmarker's twin.")
    if value < ACCEPTANCE_NME:
        return float(value), str(twin_metrics)
    return ACCEPTANCE_NME, FOR_ALL
