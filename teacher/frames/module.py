"""Lightning wiring of the frame teacher: views to losses, held-out frames to average precision, optimizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from data.tensors import to_unit
from teacher.checkpoint import hyper_parameters
from teacher.frames.options import LAYER_DECAY
from teacher.models.dense.frame_teacher import FrameTeacher
from teacher.models.dense.losses import detection_loss
from teacher.training.averaging import averaged_model
from teacher.training.box_validation import BoxValidation
from teacher.training.optimizer import build_optimizer, layerwise_groups
from teacher.training.options import LOGGED_EVERY

WARMUP_STEPS = 100
EMA_DECAY = 0.998


class FrameTeacherModule(BoxValidation):
    """Trains a FrameTeacher on batches of `teacher.frames.batches.FrameViews`, of `steps` steps in all.

    layer_decay: as of `teacher.training.optimizer.layerwise_groups`.
    """

    def __init__(self, model: FrameTeacher, steps: int, lr: float, layer_decay: float = LAYER_DECAY) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.steps, self.lr, self.warmup_steps, self.layer_decay = steps, lr, WARMUP_STEPS, layer_decay
        self.averaged = averaged_model(model, EMA_DECAY)

    @property
    def best_model(self) -> FrameTeacher:
        """The model to validate and to save: with averaged weights."""
        return self.averaged.module

    def on_fit_start(self) -> None:
        if self.model.is_frozen and self.device.type == "cpu":
            trunk = self.model.pyramid.trunk
            trunk.run_frozen()
            self.best_model.pyramid.trunk.frozen_maps = trunk.frozen_maps  # the average of equal weights

    def training_step(self, batch: dict[str, Any], batch_index: int) -> Tensor:
        images = to_unit(batch["image"]).contiguous(memory_format=torch.channels_last)
        (logits, boxes), features = self.model.forward_with_features(images)
        grid, stride = features.shape[-2:], self.model.stride
        terms = detection_loss(logits, boxes, batch["boxes_xyxy"], grid, stride, batch["ignored_boxes_xyxy"])
        if batch_index % LOGGED_EVERY == 0:
            named = {f"train/{name}": value.detach() for name, value in terms.items()}
            self.log_dict(named, on_epoch=True, on_step=False, batch_size=len(images))
        return terms["loss"]

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        self.averaged.update_parameters(self.model)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        groups = layerwise_groups(self.model, self.model.backbone, self.layer_decay)
        return build_optimizer(groups, self.lr, self.trainer.precision)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["hyper_parameters"] = hyper_parameters(self.model, "FrameTeacher")
