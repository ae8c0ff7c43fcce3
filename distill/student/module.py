"""Lightning wiring of both students' training, with a teacher's kept maps or without."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data.crop_settings import CropSettings
from data.manifest import NOT_ANNOTATED, VISIBLE
from data.metrics import nme
from data.tensors import to_unit
from distill.student.alignment import align_ears, carried_back
from distill.student.map_losses import faded
from distill.student.map_matching import HeatmapMatcher, MapMatcher
from students.models.checkpoint import kind_of
from students.models.ear_scores import ear_loss, error_loss
from students.models.landmarker import LandmarkerMaps
from students.models.losses import landmark_loss
from teacher.models.dense.losses import detection_loss
from teacher.models.heatmaps import soft_argmax
from teacher.training.averaging import averaged_model
from teacher.training.box_validation import BoxValidation
from teacher.training.optimizer import ScheduledModule, build_optimizer, parameter_groups
from teacher.training.options import LOGGED_EVERY, WEIGHT_DECAY

EAR_WEIGHT = 0.3  # of ear or not beside the points, whose loss is some ten times as large


class StudentModule(ScheduledModule):
    """What both students share: optimizer, averaged weights, the fading weight of the map loss.

    student: trained in place. matcher: of its features, or of a landmarker's heatmaps; None for the twin
    without a teacher. steps: of the whole training.
    fade: part of the steps, at the end, over which the map loss fades out. ema_decay: of the averaged weights
    that are validated and saved (`best_model`); 0 keeps none.
    """

    def __init__(
        self,
        student: nn.Module,
        matcher: MapMatcher | HeatmapMatcher | None,
        steps: int,
        lr: float = 2e-3,
        weight_decay: float = WEIGHT_DECAY,
        warmup_steps: int = 100,
        map_weight: float = 1.0,
        prediction_weight: float = 1.0,
        fade: float = 0.0,
        ema_decay: float = 0.998,
    ) -> None:
        super().__init__()
        # Channels last: depthwise convolutions and their gradients are twice as fast on a CPU.
        self.student, self.matcher = student.to(memory_format=torch.channels_last), matcher
        self.steps, self.lr, self.weight_decay, self.warmup_steps = steps, lr, weight_decay, warmup_steps
        self.map_weight, self.prediction_weight, self.fade = map_weight, prediction_weight, fade
        self.averaged = averaged_model(student, ema_decay) if ema_decay else None
        self._logs = False

    @property
    def best_model(self) -> nn.Module:
        """The student to validate and to save: with averaged weights where they are kept."""
        return self.student if self.averaged is None else self.averaged.module

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["hyper_parameters"] = training_kind(self.student, self.matcher is not None, self.steps)

    def map_loss(self, features: Tensor, maps: Tensor, seen: Tensor | None = None) -> Tensor:
        """The weighted, fading map loss of adapted features against kept maps; logs its parts."""
        loss, parts = self.matcher(features, maps, seen)
        self.log_terms({"map": loss, **{f"map_{name}": part for name, part in parts.items()}}, len(maps))
        return self.map_weight * faded(self.global_step, self.steps, self.fade) * loss

    def log_terms(self, terms: dict[str, Tensor], batch_size: int) -> None:
        """Mean over every tenth batch of the round, under train/."""
        if self._logs:
            named = {f"train/{name}": value.detach() for name, value in terms.items()}
            self.log_dict(named, on_epoch=True, on_step=False, batch_size=max(batch_size, 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = nn.ModuleList([self.student] if self.matcher is None else [self.student, self.matcher])
        groups = parameter_groups(trained, self.weight_decay)
        return build_optimizer(groups, self.lr, self.trainer.precision)

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        self.set_learning_rate()
        self._logs = batch_index % LOGGED_EVERY == 0

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        if self.averaged is not None:
            self.averaged.update_parameters(self.student)


class LandmarkerModule(StudentModule):
    """Losses of labelled points, of predicted points on crops without labels, and of kept maps.

    A batch (`distill.student.batches.CropBatches`): image (L + U + N, 3, H, W) uint8: L labelled crops with
    points_px (L, K, 2) and visibility (L, K); U crops without labels, with a labeller's predicted_px (U, K,
    2) and trust (U, K), where it was admitted; N crops that show no ear, not_ears of them. And, where maps
    are used, the teacher's maps (M, C, g, g) of the last M ears, the U or all, with map_matrix (M, 2, 3) from
    the crops that it saw to these.
    """

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        image_px, labelled = batch["image"].shape[-1], len(batch["points_px"])
        seen = self.student.forward_train(to_unit(batch["image"]))
        ears = len(batch["image"]) - batch.get("not_ears", 0)
        logits, features = seen.heatmaps[:ears], seen.features[:ears]
        loss = landmark_loss(logits[:labelled], batch["points_px"], batch["visibility"], image_px)
        self.log_terms({"label": loss}, labelled)
        if seen.ear_logit is not None:
            loss = loss + self._scores_loss(seen, batch, ears)
        if "maps" in batch:
            maps = batch["maps"]
            mapped = (logits if isinstance(self.matcher, HeatmapMatcher) else features)[-len(maps) :]
            carried, covered = carried_back(mapped, batch["map_matrix"], image_px, maps.shape[-1])
            loss = loss + self.map_loss(carried, maps, covered)
        if "predicted_px" in batch:
            visibility = torch.full_like(batch["trust"], VISIBLE)
            predicted = landmark_loss(
                logits[labelled:], batch["predicted_px"], visibility, image_px, weight=batch["trust"]
            )
            # The loss is a weighted mean: without this a batch hardly trusted would count as much as any.
            share = batch["trust"].mean()
            self.log_terms({"prediction": predicted, "trust": share}, len(batch["trust"]))
            loss = loss + self.prediction_weight * share * predicted
        self.log_terms({"loss": loss}, 1)
        return loss

    def _scores_loss(self, seen: LandmarkerMaps, batch: dict[str, Any], ears: int) -> Tensor:
        """Of ear or not over the whole batch, and of the expected errors over the labelled points."""
        is_ear = (torch.arange(len(seen.ear_logit), device=seen.ear_logit.device) < ears).float()
        labelled, image_px = len(batch["points_px"]), batch["image"].shape[-1]
        points_unit, _ = soft_argmax(seen.heatmaps[:labelled].detach())
        distance = (points_unit - (batch["points_px"] + 0.5) / image_px).norm(dim=-1)
        terms = {
            "ear": ear_loss(seen.ear_logit, is_ear),
            "error": error_loss(seen.log_error[:labelled], distance, batch["visibility"] > NOT_ANNOTATED),
        }
        self.log_terms(terms, labelled)
        return EAR_WEIGHT * terms["ear"] + terms["error"]

    def on_validation_epoch_start(self) -> None:
        self._errors: list[np.ndarray] = []

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        points_px = predicted_points_px(self.best_model, batch["image"])
        truth, visibility = batch["points_px"].cpu().numpy(), batch["visibility"].cpu().numpy()
        self._errors.append(nme(points_px.cpu().numpy(), truth, visibility))

    def on_validation_epoch_end(self) -> None:
        errors = np.concatenate(self._errors)
        self.log("val/nme", float(np.nanmean(errors)), prog_bar=True, sync_dist=True)


class DetectorModule(StudentModule, BoxValidation):
    """Losses of labelled boxes, of pseudo-labelled ones, and of kept maps under the ears.

    A batch (`distill.student.batches.FrameBatches`): image (B, 3, S, S) uint8, labelled frames first;
    boxes_xyxy, one (n, 4) a labelled frame; pseudo_boxes_xyxy, one (n, 4) a pseudo-labelled frame, these
    coming next, and ignored_boxes_xyxy, boxes of low score there, neither ear nor background; with a teacher
    rois (R, 5), frame index and window edges in px, and maps (R, C, g, g).
    """

    def training_step(self, batch: dict[str, Any], batch_index: int) -> Tensor:
        targets, labelled = batch["boxes_xyxy"], len(batch["boxes_xyxy"])
        (logits, boxes), features = self.student.forward_with_features(to_unit(batch["image"]))
        terms = detection_loss(
            logits[:labelled], boxes[:labelled], targets, features.shape[-2:], self.student.stride
        )
        loss = terms["loss"]
        self.log_terms({"label": loss, "score": terms["score"], "box": terms["box"]}, labelled)
        if "pseudo_boxes_xyxy" in batch:
            last = labelled + len(batch["pseudo_boxes_xyxy"])
            predicted = detection_loss(
                logits[labelled:last],
                boxes[labelled:last],
                batch["pseudo_boxes_xyxy"],
                features.shape[-2:],
                self.student.stride,
                batch["ignored_boxes_xyxy"],
            )["loss"]
            self.log_terms({"prediction": predicted}, last - labelled)
            loss = loss + self.prediction_weight * predicted
        if "maps" in batch and len(batch["maps"]):
            ears = align_ears(features, batch["rois"], self.student.stride, batch["maps"].shape[-1])
            loss = loss + self.map_loss(ears, batch["maps"])
        self.log_terms({"loss": loss}, 1)
        return loss


@torch.no_grad()
def predicted_points_px(landmarker: nn.Module, images: Tensor) -> Tensor:
    """images: (B, 3, H, W) uint8 crops -> points (B, K, 2) in their px."""
    points_unit = landmarker(to_unit(images))[0]
    return points_unit * images.shape[-1] - 0.5


def training_kind(student: nn.Module, distil: bool, steps: int) -> dict[str, Any]:
    """What a training checkpoint tells about its training: only the same may resume from it.

    student: a landmarker has `crops`, how its ears are cut; not named where they are the project's own.
    """
    model, crops = dict(student.hparams), getattr(student, "crops", CropSettings()).to_plain()
    named = {"kind": f"distill.{kind_of(student)}", "model": model, "distill": distil, "steps": steps}
    return named | ({"crops": crops} if crops else {})
