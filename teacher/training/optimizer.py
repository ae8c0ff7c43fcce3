"""One optimizer and one learning-rate schedule for all trainings."""

from __future__ import annotations

import math
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn

from teacher.models.backbones.freezing import FreezableBackbone
from teacher.training.callbacks import MinutesBudget
from teacher.training.options import WEIGHT_DECAY


class ScheduledModule(LightningModule):
    """A LightningModule whose learning rate rises over `warmup_steps` to `lr` and falls with `progress`.

    Not a Lightning scheduler: with a budget of minutes the number of steps is not known beforehand.
    """

    lr: float  # the highest learning rate
    warmup_steps: int
    steps: int | None = None  # of the whole training; None: as many as the trainer estimates

    @property
    def progress(self) -> float:
        """Of the training, 0 to 1: by steps or by the budget of minutes, whichever is further."""
        steps = self.trainer.estimated_stepping_batches if self.steps is None else self.steps
        return training_progress(self.trainer, steps)

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        self.set_learning_rate()

    def set_learning_rate(self) -> float:
        """Set the rate of this step, times `lr_scale` in groups that have one; returns it unscaled."""
        rate = self.lr * schedule(self.progress, self.global_step, self.warmup_steps)
        for group in self.optimizers().param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        return rate


def training_progress(trainer: Trainer, steps: float) -> float:
    """Of a training of `steps` steps, 0 to 1: by steps or by its MinutesBudget, whichever is further."""
    budgets = [callback.fraction for callback in trainer.callbacks if isinstance(callback, MinutesBudget)]
    return max([trainer.global_step / max(steps, 1), *budgets])


def schedule(progress: float, step: int, warmup_steps: int, floor: float = 0.01) -> float:
    """Factor of the learning rate: linear over `warmup_steps`, times a cosine from 1 to `floor` over
    progress 0 to 1.

    Loshchilov & Hutter, ICLR 2017, without restarts.
    """
    warm = min(1.0, (step + 1) / max(warmup_steps, 1))
    return warm * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def build_optimizer(
    groups: list[dict[str, Any]], lr: float, precision: str, one_kernel: bool = True
) -> torch.optim.AdamW:
    """AdamW over `parameter_groups`. precision: as Lightning names it.

    one_kernel: a step is one kernel, which is quicker, but rounds otherwise in the last digit: the trainings
    whose results were measured with torch's default (the margin teacher's, EarDetector's) keep that. Never
    under 16-mixed, where the kernel would unscale by itself and Lightning could not clip.
    """
    how = {"fused": precision != "16-mixed"} if one_kernel else {}
    optimizer = torch.optim.AdamW(groups, lr=lr, **how)
    # Nothing is scaled in bf16, but Lightning clips under no mixed precision if the step could unscale.
    optimizer._step_supports_amp_scaling = False
    return optimizer


def parameter_groups(model: nn.Module, weight_decay: float = WEIGHT_DECAY) -> list[dict[str, Any]]:
    """The trainable parameters; only matrices and kernels decay, not biases, norms and position tables."""
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decays = [p for name, p in trainable if p.ndim >= 2 and "pos" not in name.rpartition(".")[2]]
    rest = [p for name, p in trainable if p.ndim < 2 or "pos" in name.rpartition(".")[2]]
    return [{"params": decays, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def layerwise_groups(
    model: nn.Module, backbone: FreezableBackbone, layer_decay: float, weight_decay: float = WEIGHT_DECAY
) -> list[dict[str, Any]]:
    """`parameter_groups` with a learning rate for each block of the model's backbone: `layer_decay` times
    that of the block above it, and the last block's so much of all the rest's (Bao et al., BEiT, ICLR 2022).
    """
    layers = [*backbone.stem(), *backbone.blocks()]
    depth_of = {}  # of a parameter, blocks below what is not of the backbone
    for number, layer in enumerate(layers):
        below = min(len(layers) - number, len(backbone.blocks()) + 1)  # all of the stem counts as one
        depth_of |= {id(parameter): below for parameter in layer.parameters()}
    by_rate: dict[tuple[int, int], dict[str, Any]] = {}
    for part, group in enumerate(parameter_groups(model, weight_decay)):
        for parameter in group["params"]:
            depth = depth_of.get(id(parameter), 0)
            named = {"weight_decay": group["weight_decay"], "lr_scale": layer_decay**depth}
            by_rate.setdefault((part, depth), {"params": [], **named})["params"].append(parameter)
    return list(by_rate.values())
