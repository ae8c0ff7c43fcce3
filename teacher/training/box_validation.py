"""Validation of what finds boxes in frames: COCO's average precision on held-out ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from data.boxes import EVALUATION_SCORE
from data.coco_ap import coco_ap
from data.tensors import to_unit
from teacher.models.dense.postprocess import detections
from teacher.training.optimizer import ScheduledModule


class BoxValidation(ScheduledModule):
    """A LightningModule whose `best_model`, a DenseDetector, is validated on letterboxed frames.

    Batches: of `data.dataset.collate_frames`. Logs val/ap, val/ap50 and val/recall50.
    """

    best_model: nn.Module

    def on_validation_epoch_start(self) -> None:
        self._found: list[tuple[np.ndarray, np.ndarray]] = []
        self._truth: list[np.ndarray] = []

    def validation_step(self, batch: dict[str, Any], batch_index: int) -> None:
        logits, boxes = self.best_model(to_unit(batch["image"]))
        for found, scores in detections(logits, boxes, score_threshold=EVALUATION_SCORE):
            self._found.append((found.cpu().numpy(), scores.cpu().numpy()))
        self._truth += [boxes.cpu().numpy() for boxes in batch["boxes_xyxy"]]

    def on_validation_epoch_end(self) -> None:
        measures = coco_ap(self._found, self._truth)
        self.log("val/ap50", measures["ap50"], prog_bar=True, sync_dist=True)
        self.log("val/ap", measures["ap"], prog_bar=True, sync_dist=True)
        self.log("val/recall50", measures["recall50"], sync_dist=True)
