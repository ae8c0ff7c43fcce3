"""A student's training put together: the student, its module with a matcher, and where to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from configs.errors import UserError
from data.crop_settings import CropSettings
from distill.student.map_losses import centre_and_scale
from distill.student.map_matching import HeatmapMatcher, MapMatcher
from distill.student.module import DetectorModule, LandmarkerModule, StudentModule
from distill.student.options import (
    LEARNING_RATE,
    MASKED_SHARE,
    DistillationOptions,
    MapLossOptions,
    OptimizationOptions,
)
from distill.teacher_maps.frozen_teacher import HEATMAPS
from distill.teacher_maps.store import KeptMaps
from students.models.checkpoint import build_student, kind_of, load_student, student_crops
from teacher.checkpoint import read_torch
from teacher.training.resume import differences, find_resume


def first_student(
    kind: str,
    student_options: Mapping[str, Any],
    init_checkpoint: Path | None,
    crops: CropSettings,
    scores: bool = False,
) -> nn.Module:
    """The student before its first step: random weights, or those of a student.pt.

    kind: landmarker or detector; student_options: arguments of its class; crops: of the ears to train on.
    scores: a landmarker gets `students.models.ear_scores.EarScores` where it has none.
    Raises UserError where init_checkpoint is of other sizes, or a landmarker of other crops, and for a
    detector with scores.
    """
    if scores and kind != "landmarker":
        raise UserError("not_ears_npy: the landmarker learns from these; a detector has its frames.")
    student = _first_student(kind, student_options, init_checkpoint, crops)
    if scores:
        student.add_scores()
    return student


def _first_student(
    kind: str, student_options: Mapping[str, Any], init_checkpoint: Path | None, crops: CropSettings
) -> nn.Module:
    options = dict(student_options)
    if kind == "landmarker":
        options.setdefault("num_landmarks", crops.num_landmarks)
    if init_checkpoint is None:
        return _with_crops(build_student(kind, options), crops)
    student = load_student(init_checkpoint, kind).train()
    for name, wanted in options.items():
        if student.hparams.get(name, wanted) != wanted:
            raise UserError(
                f"{init_checkpoint}: its {name} is {student.hparams[name]}, wanted is {wanted}. "
                "Leave out init_checkpoint, or the option (num_landmarks is the manifests')."
            )
    if kind == "landmarker":
        student_crops(init_checkpoint).require_same(crops, f"{init_checkpoint}", "train_npy")
    return _with_crops(student, crops)


def _with_crops(student: nn.Module, crops: CropSettings) -> nn.Module:
    """The student, a landmarker knowing how its ears are cut; a detector sees whole frames."""
    if kind_of(student) == "landmarker":
        student.crops = crops
    return student


def build_module(
    student: nn.Module,
    kept: KeptMaps | None,
    steps: int,
    optimization: OptimizationOptions,
    distillation: DistillationOptions,
    map_loss: MapLossOptions,
) -> StudentModule:
    """The Lightning module of a student, with a matcher for kept maps or without. steps: of the training."""
    kind = kind_of(student)
    return (LandmarkerModule if kind == "landmarker" else DetectorModule)(
        student,
        build_matcher(student, kept, map_loss),
        steps,
        lr=learning_rate(kind, optimization),
        warmup_steps=optimization.warmup_steps,
        map_weight=distillation.map_weight,
        prediction_weight=distillation.prediction_weight,
        fade=map_loss.fade,
        ema_decay=optimization.ema_decay,
    )


def build_matcher(
    student: nn.Module, kept: KeptMaps | None, options: MapLossOptions
) -> MapMatcher | HeatmapMatcher | None:
    """What compares the student's maps with the kept ones; None without. Raises UserError where the student
    has no such map.
    """
    if kept is None:
        return None
    if kept.layer == HEATMAPS:
        if kind_of(student) == "detector":
            raise UserError(f"{kept.folder}: keeps {HEATMAPS}, and a detector has none. Keep fused.")
        return HeatmapMatcher()
    mean, std = centre_and_scale(options.normalise, torch.from_numpy(kept.mean), torch.from_numpy(kept.std))
    return MapMatcher(student.channels, mean, std, kept.grid, options.loss_weights, MASKED_SHARE)


def resume_point(
    resume: str, output_dir: Path, wanted: Mapping[str, Any], record: Mapping[str, Any]
) -> tuple[Path | None, int]:
    """The checkpoint to go on from and its finished rounds.

    resume, record: as `teacher.training.resume.find_resume` takes them; wanted: of
    `distill.student.module.training_kind`. Raises UserError for a checkpoint of another training.
    """
    path = find_resume(resume, output_dir, record)
    if path is None:
        return None, 0
    content = read_torch(path)
    if differ := differences(content.get("hyper_parameters") or {}, wanted):
        raise UserError(f"{path}: of another training: {'; '.join(differ)}. Leave out --resume.")
    return path, int(content["epoch"]) + 1


def learning_rate(kind: str, optimization: OptimizationOptions) -> float:
    """The highest of the training. kind: landmarker or detector."""
    return LEARNING_RATE[kind] if optimization.lr is None else optimization.lr
