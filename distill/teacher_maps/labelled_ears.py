"""Pseudo-labels of a manifest's ears: the points that a landmarker predicts on their photographs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tqdm import tqdm

from data import crops
from data.dataset import EarCrops
from data.manifest import NOT_ANNOTATED, VISIBLE, Manifest
from data.tensors import to_signed
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.pseudo_labels import predict_points

BATCH_SIZE = 64  # crops at once


def pseudo_labelled_ears(landmarker: FrozenTeacher, manifest: Manifest, agreement_limit: float) -> Manifest:
    """The ears with predicted landmarks, px of their photographs; landmarks they have are not read.

    They are cut as `manifest.crops` has it. A point on whose place the readings of the ear and of its mirror
    image differ by `agreement_limit` (a fraction of the crop's side) is not annotated.
    """
    bare = replace(manifest, landmarks=None, visibility=None)
    ears = EarCrops(bare, landmarker.image_px)
    landmarks, agreed = predict_landmarks(landmarker, ears, manifest.crops.scheme.flip, agreement_limit)
    visibility = np.where(agreed, VISIBLE, NOT_ANNOTATED).astype(np.uint8)
    return replace(manifest, landmarks=landmarks, visibility=visibility)


def predict_landmarks(
    landmarker: FrozenTeacher, ears: EarCrops, flip: list[int], agreement_limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points of all ears (N, K, 2) float32, px of their photographs, and which are agreed on (N, K) bool."""
    points, agreed = [], []
    for start in tqdm(range(0, len(ears), BATCH_SIZE), desc="ears", unit="batch"):
        items = [ears[row] for row in range(start, min(start + BATCH_SIZE, len(ears)))]
        found = predict_points(landmarker, to_signed(torch.stack([item["image"] for item in items])), flip)
        found_px = found.points_unit.numpy() * ears.out_px - 0.5
        pairs = zip(items, found_px, strict=True)
        points += [crops.apply(crops.invert(item["matrix"].numpy()), values) for item, values in pairs]
        agreed.append((found.disagreement < agreement_limit).numpy())
    return np.stack(points).astype(np.float32), np.concatenate(agreed)
