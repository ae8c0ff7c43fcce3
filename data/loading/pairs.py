"""Two views of each ear, for learning what stays the same between them."""

from __future__ import annotations

from typing import Any

import torch

from data import crops
from data.dataset import EarCrops
from data.transforms import Geometry, Photometry

SECOND_SEED = 7919  # apart from the seeds of runs, which are small


class PairedCrops:
    """`EarCrops` whose items also hold a second view of the same ear, moved and lit in its own way.

    Beside the items of EarCrops: second (3, S, S) uint8, after photometry, and to_second (2, 3) float32, px
    of the first view -> px of the second.
    """

    def __init__(self, ears: EarCrops, geometry: Geometry, photometry: Photometry) -> None:
        """ears: the first views, with geometry of their own (their context crops are shared)."""
        self.ears = ears
        self._second = ears.drawn_as(geometry, photometry, seed=ears.seed + SECOND_SEED)

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.ears)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """key: index, or (epoch, index) as EpochSampler gives it."""
        first, second = self.ears[key], self._second[key]
        to_second = crops.compose(second["matrix"].numpy(), crops.invert(first["matrix"].numpy()))
        return {**first, "second": second["image"], "to_second": torch.from_numpy(to_second)}
