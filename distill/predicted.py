"""Ears without labels, and the points that a labeller predicted in the place of labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from data import crops
from data.dataset import EarCrops
from data.manifest import Manifest
from data.transforms import Geometry, Photometry
from distill.gate import trust
from distill.maps import KeptMaps
from distill.views import PLAIN, CropViews


class PredictedEars:
    """Crops with predicted points, drawn anew in every view as labelled ones are.

    Points follow any warp, while kept maps tie a student to the few views that the teacher saw: so these ears
    are turned and shifted like labelled ears, and the labeller's plain reading goes with them.
    """

    def __init__(
        self,
        kept: KeptMaps,
        views: CropViews,
        geometry: Geometry,
        photometry: Photometry,
        flip: np.ndarray,
        agreement_limit: float,
    ) -> None:
        """kept: with predictions, of `views`; flip: the points under mirroring; agreement_limit: see
        `distill.gate.trust`.
        """
        plain = {name: values[:, PLAIN] for name, values in kept.predictions.items()}
        landmarks = in_photographs(
            plain["points_unit"], views.manifest, views.settings.out_px, views.settings.margin
        )
        predicted = replace(
            views.manifest,
            landmarks=landmarks,
            visibility=np.full(landmarks.shape[:2], 2, np.uint8),
        )
        self.crops: EarCrops = views.crops.drawn_as(geometry, photometry, manifest=predicted)
        self.crops.flip_indices = flip
        self.trust = trust(plain["confidence"], plain["disagreement"], agreement_limit).astype(np.float32)

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.crops)

    @property
    def trusted_share(self) -> float:
        """Of the predicted points, those that count at all."""
        return float((self.trust > 0).mean())

    def view(self, row: int, geometry_seed: int, photometry_seed: int) -> dict[str, Tensor]:
        """image (3, S, S) uint8, points_px (K, 2), and trust (K,), 0 for points outside the view."""
        item = self.crops.view(row, geometry_seed, photometry_seed)
        weight = self.trust[row]
        if crops.mirrors(item["matrix"].numpy()):
            weight = weight[self.crops.flip_indices]
        return {
            "image": item["image"],
            "points_px": item["points_px"],
            "trust": torch.from_numpy(weight) * (item["visibility"] > 0),
        }


def in_photographs(points_unit: np.ndarray, manifest: Manifest, crop_px: int, margin: float) -> np.ndarray:
    """Points (N, K, 2) in unit coordinates of plain crops -> px of the photographs, float32."""
    points_px = points_unit * crop_px - 0.5
    boxes = manifest.boxes_xyxy
    back = [crops.invert(crops.crop_matrix(box, crop_px, margin)) for box in boxes]
    return np.stack([crops.apply(matrix, points) for matrix, points in zip(back, points_px, strict=True)])
