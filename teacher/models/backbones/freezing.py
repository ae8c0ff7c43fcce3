"""Freezing a backbone from its input on, for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from torch import nn

from configs.errors import UserError


class FreezableBackbone(nn.Module):
    """A backbone of a stem and blocks; the frozen ones stay in eval mode whatever `train()` says."""

    frozen_layers = 0

    def stem(self) -> Sequence[nn.Module]:
        """What comes before the blocks, without the position table, which stays trainable."""
        raise NotImplementedError

    def blocks(self) -> Sequence[nn.Module]:
        """What `freeze` counts: transformer blocks, or the stages of a convolutional network."""
        raise NotImplementedError

    def freeze(self, layers: int) -> None:
        """Freeze the stem and the first `layers` blocks for good; 0 freezes nothing.

        Raises UserError when there are fewer blocks.
        """
        blocks = len(self.blocks())
        if not 0 <= layers <= blocks:
            raise UserError(
                f"freeze_layers={layers}, but this backbone has {blocks} blocks: use 0 to {blocks}"
            )
        self.frozen_layers = layers
        for module in self._frozen_modules():
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_layers == 0:
            return []
        return [*self.stem(), *self.blocks()[: self.frozen_layers]]
