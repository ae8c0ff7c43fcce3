"""A teacher trained in two stages: first on a cheap backbone, then on SAM, with all layers that fit"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.build import build
from configs.errors import UserError

if TYPE_CHECKING:
    from teacher.train import Config

FIRST_FOLDER = "first"  # in the output folder; the second stage's files lie where those of any teacher do


@dataclass
class Stages:
    """The backbone options of `--backbone staged`."""

    first: str = "mobilenetv3"
    then: str = "sam"
    first_share: float = 0.3  # of the epochs, and of the minutes if they are limited
    first_options: dict[str, Any] = field(default_factory=dict)
    then_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise UserError for a share that leaves a stage without training."""
        if not 0 < self.first_share < 1:
            raise UserError(f"first_share={self.first_share}: a share above 0 and below 1 is needed")


def stage_configs(config: Config) -> tuple[Config, Config]:
    """What teacher.train is told in either stage. weights and freeze_layers are the second's.

    Raises UserError for options that make no sense and for fewer than two epochs.
    """
    stages = build(Stages, config.backbone_options, "--backbone-options of the backbone 'staged'")
    if config.epochs < 2:
        raise UserError(f"epochs={config.epochs}: a staged training needs at least 2, one a stage")
    epochs = min(max(round(config.epochs * stages.first_share), 1), config.epochs - 1)
    minutes = config.max_minutes * stages.first_share
    folder = Path(config.output_dir) / FIRST_FOLDER
    first = replace(
        config,
        backbone=stages.first,
        backbone_options=stages.first_options,
        weights="",
        freeze_layers=None,
        epochs=epochs,
        max_minutes=minutes,
        output_dir=folder,
    )
    then = replace(
        config,
        backbone=stages.then,
        backbone_options=stages.then_options,
        epochs=config.epochs - epochs,
        max_minutes=config.max_minutes - minutes,
        init_checkpoint="",
        carry_over=str(folder / "best.ckpt"),
    )
    return first, then


def train_staged(config: Config, train: Callable[[Config], Path]) -> Path:
    """Train both stages with `train`, the main of teacher.train; a resumed training goes on where it was.

    Raises UserError as `stage_configs` and `train` do.
    """
    first, then = stage_configs(config)
    folder = Path(first.output_dir)
    resumes_second = config.resume and (
        config.resume != "auto" or (Path(then.output_dir) / "last.ckpt").is_file()
    )
    first_is_done = config.resume == "auto" and (folder / "metrics.json").is_file()
    if not resumes_second and not first_is_done:
        print(f"first stage: {first.backbone}, {first.epochs} epochs", flush=True)
        train(first)
    print(f"second stage: {then.backbone}, {then.epochs} epochs", flush=True)
    return train(then)
