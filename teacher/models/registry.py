"""Every kind of model that a checkpoint may hold: the teachers of crops and of frames, and EarDetector."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import nn

from teacher.checkpoint import load_as
from teacher.models.dense.frame_teacher import FrameTeacher
from teacher.models.detector import EarDetector
from teacher.models.teachers import BUILDERS as TEACHERS

BUILDERS = {**TEACHERS, "EarDetector": EarDetector, "FrameTeacher": partial(FrameTeacher, pretrained=False)}


def load_model(path: str | Path, kind: str | None = None) -> nn.Module:
    """The model of a checkpoint, in eval mode on the CPU. kind: a key of BUILDERS; None: whichever it is.

    Raises UserError for a file that is missing, truncated, no checkpoint, of another kind, or whose
    weights do not fit the sizes it names.
    """
    return load_as(BUILDERS if kind is None else {kind: BUILDERS[kind]}, path)
