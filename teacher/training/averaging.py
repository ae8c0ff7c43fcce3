"""Averaged weights: what a training validates and saves, and what predicts for ears without labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged_model(model: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of weights and batch-norm statistics, in eval mode and without gradients.

    decay: of each update, 0 to 1. Polyak & Juditsky, SIAM J. Control Optim. 1992; as a teacher of its own
    source: Tarvainen & Valpola, NeurIPS 2017.
    """

    def average(kept: list[Tensor], current: list[Tensor], updates: Tensor | int) -> None:
        # A short memory at the start, or the random first weights would stay in the average for long.
        now = min(decay, (1 + int(updates)) / (10 + int(updates)))
        if kept[0].is_floating_point():
            torch._foreach_lerp_(kept, current, 1 - now)
        else:
            for mine, theirs in zip(kept, current, strict=True):
                mine.copy_(theirs)

    averaged = AveragedModel(model, multi_avg_fn=torch.no_grad()(average), use_buffers=True)
    return averaged.requires_grad_(False).eval()
