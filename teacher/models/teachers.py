"""The teachers by the kind that their checkpoints name: what an EarDetector can stand on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from teacher.checkpoint import load_as
from teacher.models.autoencoder import Autoencoder
from teacher.models.margin_teacher import MarginTeacher
from teacher.models.vae import EarVAE

BUILDERS = {
    "EarVAE": partial(EarVAE, pretrained=False),
    "MarginTeacher": partial(MarginTeacher, pretrained=False),
}


def load_teacher(path: str | Path) -> Autoencoder:
    """The teacher of a checkpoint, of either kind, in eval mode on the CPU.

    Raises UserError for a file that is missing, truncated, no checkpoint, of another kind, or whose
    weights do not fit the sizes it names.
    """
    return load_as(BUILDERS, path)


def build_teacher(kind: str, hparams: dict[str, Any]) -> Autoencoder:
    """The teacher that `hparams` describe, with random weights. kind: a key of BUILDERS."""
    return BUILDERS[kind](**hparams)
