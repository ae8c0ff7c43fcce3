"""A teacher trained in two stages: first on a cheap backbone, then on SAM, with all layers that fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.build import build
from configs.errors import UserError

FIRST_FOLDER = "first"  # in the output folder; the second stage's files lie where those of any teacher do


@dataclass(frozen=True)
class Stages:
    """The backbone options of `--backbone staged`.

    Raises UserError for a share that leaves a stage without training.
    """

    first: str = "mobilenetv3"
    then: str = "sam"
    first_share: float = 0.3  # of the epochs, and of the minutes if they are limited
    first_options: dict[str, Any] = field(default_factory=dict)
    then_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the share."""
        if not 0 < self.first_share < 1:
            raise UserError(f"first_share={self.first_share}: a share above 0 and below 1 is needed")


def read_stages(backbone_options: dict[str, Any]) -> Stages:
    """The backbone options of a staged teacher. Raises UserError for those that make no sense."""
    return build(Stages, backbone_options, "--backbone-options of the backbone 'staged'")


def stage_changes(
    backbone_options: dict[str, Any], epochs: int, max_minutes: float, output_dir: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is different in either stage: options of teacher.train by name. weights and freeze_layers are the
    second's.

    epochs, max_minutes: of both together. Raises UserError for options that make no sense and for fewer than
    two epochs.
    """
    stages = read_stages(backbone_options)
    if epochs < 2:
        raise UserError(f"epochs={epochs}: a staged training needs at least 2, one a stage")
    first_epochs = min(max(round(epochs * stages.first_share), 1), epochs - 1)
    minutes = max_minutes * stages.first_share
    folder = Path(output_dir) / FIRST_FOLDER
    first = {
        "backbone": stages.first,
        "backbone_options": stages.first_options,
        "weights": "",
        "freeze_layers": None,
        "epochs": first_epochs,
        "max_minutes": minutes,
        "output_dir": folder,
    }
    then = {
        "backbone": stages.then,
        "backbone_options": stages.then_options,
        "epochs": epochs - first_epochs,
        "max_minutes": max_minutes - minutes,
        "init_checkpoint": str(folder / "best.ckpt"),
    }
    return first, then


def train_in_stages(
    first: dict[str, Any],
    then: dict[str, Any],
    output_dir: Path,
    resume: str,
    train: Callable[[dict[str, Any]], Path],
) -> Path:
    """Train both stages with `train`, which takes the changes of one; a resumed training goes on where it
    was. Returns the folder of the second.

    output_dir, resume: of the whole training.
    """
    resumes_second = resume and (resume != "auto" or (Path(output_dir) / "last.ckpt").is_file())
    first_is_done = resume == "auto" and (Path(first["output_dir"]) / "metrics.json").is_file()
    if not resumes_second and not first_is_done:
        print(f"first stage: {first['backbone']}, {first['epochs']} epochs", flush=True)
        train(first)
    print(f"second stage: {then['backbone']}, {then['epochs']} epochs", flush=True)
    return train(then)
