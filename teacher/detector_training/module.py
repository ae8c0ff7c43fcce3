"""Lightning wiring of EarDetector's fine-tuning: batches to losses, held-out errors, optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from data.tensors import to_signed
from teacher.checkpoint import hyper_parameters
from teacher.detector_training.losses import DetectorTargets, detector_losses, edges_in_view
from teacher.detector_training.report import held_out_errors, read_batch
from teacher.detector_training.unlabelled import consistency_loss, points_to_find, ramp
from teacher.models.detector import DetectorOutput, EarDetector
from teacher.training.averaging import averaged_model
from teacher.training.optimizer import ScheduledModule, build_optimizer, parameter_groups


@dataclass(frozen=True)
class Consistency:
    """How ears without labels take part (teacher.detector_training.unlabelled)."""

    flip: tuple[int, ...]  # the points under mirroring
    weight: float = 1.0  # of the loss
    warmup: float = 0.3  # part of the training over which the part of the averaged network grows


@dataclass(frozen=True)
class DetectorLossWeights:
    """Weights of the terms of teacher.detector_training.losses."""

    points: float = 1.0
    edges: float = 0.5
    visibility: float = 0.2
    ear: float = 0.2


class EarDetectorModule(ScheduledModule):
    """Trains `model` on the batches of teacher.detector_training.data.LabelledViews."""

    def __init__(
        self,
        model: EarDetector,
        weights: DetectorLossWeights,
        lr: float,
        encoder_lr_scale: float,
        warmup_steps: int = 50,
        ema_decay: float = 0.0,
        consistency: Consistency | None = None,
    ) -> None:
        """ema_decay: of the averaged weights that are validated and saved (`best_model`); 0 keeps none.
        consistency: for batches with ears without labels, which need averaged weights.
        """
        super().__init__()
        self.model, self.weights = model, weights
        self.lr, self.encoder_lr_scale = lr, encoder_lr_scale
        self.warmup_steps = warmup_steps
        self.averaged = averaged_model(model, ema_decay) if ema_decay else None
        self.consistency = consistency
        self._batches: list[dict[str, Tensor]] = []

    @property
    def best_model(self) -> EarDetector:
        """The model to validate and to save: with averaged weights where they are kept."""
        return self.model if self.averaged is None else self.averaged.module

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        size = len(batch["image"])
        unlabelled = self.consistency is not None
        images = torch.cat((batch["image"], batch["moved"])) if unlabelled else batch["image"]
        every = self.model.read(to_signed(images))
        reading = DetectorOutput(*(values[:size] for values in every))
        with torch.autocast(self.device.type, enabled=False):  # logarithms lose their digits in 16 bit
            terms = detector_losses(reading, targets_of(batch), self.model.margin_cells)
            loss = sum(getattr(self.weights, name) * term for name, term in terms.items())
        if unlabelled:
            terms["consistency"] = self._consistency_loss(every.point_heatmaps[size:], batch)
            loss = loss + self.consistency.weight * terms["consistency"]
        self.log_dict(
            {f"train/{name}": term for name, term in terms.items()},
            on_epoch=True,
            on_step=False,
            batch_size=size,
        )
        self.log("train/loss", loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=size)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        self._batches.append(read_batch(self.best_model, batch))

    def on_validation_epoch_end(self) -> None:
        gathered = {
            name: torch.cat([self._flat(batch[name]) for batch in self._batches]) for name in self._batches[0]
        }
        self._batches.clear()
        predictions = {name: values.cpu().numpy() for name, values in gathered.items()}
        for name, value in held_out_errors(predictions).items():
            self.log(f"val/{name}", value, prog_bar=name == "nme")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        groups = detector_parameter_groups(self.model, self.lr, self.encoder_lr_scale)
        return build_optimizer(groups, self.lr, self.trainer.precision, one_kernel=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["hyper_parameters"] = hyper_parameters(self.model, "EarDetector")

    def _consistency_loss(self, heatmaps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            own = self.averaged.module.read(to_signed(batch["plain"]))
        growth = ramp(self.progress, self.consistency.warmup)
        with torch.autocast(self.device.type, enabled=False):
            return consistency_loss(
                heatmaps,
                *points_to_find(own.points_unit.float(), own.confidence.float(), batch, growth),
                batch["to_moved"].float(),
                batch["plain"].shape[-1],
                self.consistency.flip,
                self.model.margin_cells,
            )

    def _flat(self, values: Tensor) -> Tensor:
        """The batch of all processes, (B, ...)."""
        gathered = self.all_gather(values)
        return gathered.flatten(0, 1) if gathered.ndim > values.ndim else gathered


def targets_of(batch: dict[str, Tensor]) -> DetectorTargets:
    """Pixels of the view to unit crop coordinates, the box seen through the view's matrix."""
    view_px = batch["image"].shape[-1]
    return DetectorTargets(
        points_unit=(batch["points_px"] + 0.5) / view_px,
        visibility=batch["visibility"],
        edges_unit=edges_in_view(batch["box_xyxy"], batch["matrix"], view_px),
        is_ear=batch["is_ear"],
    )


def detector_parameter_groups(model: EarDetector, lr: float, encoder_lr_scale: float) -> list[dict[str, Any]]:
    """The head at lr, what came from the VAE at lr * encoder_lr_scale; frozen parameters nowhere.

    Each split as in teacher.training.optimizer.parameter_groups, for the weight decay; `lr_scale` is kept in
    the group.
    """
    groups = []
    for part, scale in (("head", 1.0), ("pretrained", encoder_lr_scale)):
        for group in parameter_groups(torch.nn.ModuleDict(getattr(model, f"{part}_modules")())):
            if group["params"]:
                groups.append({**group, "name": part, "lr": lr * scale, "lr_scale": scale})
    return groups
