"""The same few augmented crops of each ear in turn, for what is computed once a crop and kept."""

from __future__ import annotations

from typing import Any

from data.dataset import EarCrops
from data.loading.pairs import PairedCrops
from data.manifest import Manifest


class RepeatedCrops:
    """`EarCrops` or `PairedCrops` of which epoch e draws what epoch e % draws drew.

    draws: different crops of each ear, at least 1. One follows from (seed, number, index) alone, as those of
    an epoch do.
    """

    def __init__(self, ears: EarCrops | PairedCrops, draws: int) -> None:
        self.ears, self.draws = ears, draws

    @property
    def manifest(self) -> Manifest:
        """Of the ears."""
        return (self.ears.ears if isinstance(self.ears, PairedCrops) else self.ears).manifest

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.ears)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """key: index, or (epoch, index) as EpochSampler gives it. Items also hold `draw`, 0 .. draws - 1."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        draw = epoch % self.draws
        return {**self.ears[draw, index], "draw": draw}
