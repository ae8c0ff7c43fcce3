"""The same few augmented views of each ear in turn, for what is computed once a view and kept."""

from __future__ import annotations

from typing import Any

from data.dataset import EarCrops
from data.loading.pairs import PairedCrops
from data.manifest import Manifest


class RepeatedViews:
    """`EarCrops` or `PairedCrops` of which epoch e draws what epoch e % views drew.

    views: of each ear, at least 1. A view is drawn from (seed, number, index) alone, as an epoch's are.
    """

    def __init__(self, ears: EarCrops | PairedCrops, views: int) -> None:
        self.ears, self.views = ears, views

    @property
    def manifest(self) -> Manifest:
        """Of the ears."""
        return (self.ears.ears if isinstance(self.ears, PairedCrops) else self.ears).manifest

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.ears)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """key: index, or (epoch, index) as EpochSampler gives it. The item's `view` is the number drawn."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        view = epoch % self.views
        return {**self.ears[view, index], "view": view}
