"""Ears with points that a landmarker predicted (`distill.label`), in views drawn anew."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from data.dataset import EarCrops
from data.manifest import NOT_ANNOTATED


class PseudoLabelledEars:
    """Stands where `distill.student.teacher_targets.TeacherTargets` stands, without a teacher's maps.

    crops: of a manifest with predicted landmarks; those not annotated are not trusted.
    """

    with_maps, has_targets = False, True

    def __init__(self, crops: EarCrops) -> None:
        self.crops = crops
        self.trust = (crops.manifest.visibility != NOT_ANNOTATED).astype(np.float32)

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.crops)

    @property
    def trusted_share(self) -> float:
        """Part of the predicted points that are trained on."""
        return float(self.trust.mean())

    def view(self, row: int, geometry_seed: int, photometry_seed: int) -> dict[str, Tensor]:
        """image (3, S, S) uint8; points_px (K, 2) and trust (K,), 0 for points outside the view."""
        item = self.crops.view(row, geometry_seed, photometry_seed)
        seen = (item["visibility"] > 0).float()
        return {"image": item["image"], "points_px": item["points_px"], "trust": seen}

    def map_of(self, row: int, to_view: np.ndarray, seed: int) -> dict[str, Tensor]:
        """Nothing: no map was kept."""
        return {}
