"""Write the weights of a checkpoint alone, in half precision, to hand them on.

The small teacher in teacher/pretrained/ was written by this. It loads wherever a checkpoint does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from configs.command import run_command
from configs.errors import UserError
from configs.groups import Fixed, Gone

MAX_MB = 25.0  # of 10^6 bytes: what a repository holds without large files


@dataclass(frozen=True)
class Config:
    """Make a trained model small enough to hand on."""

    checkpoint: Path
    """A trained EarVAE or EarDetector."""
    output: Path
    """The file to write; it must not exist yet."""

    GONE: ClassVar[Mapping[str, Gone]] = {"max_mb": Fixed(25.0, "a repository holds no larger files")}


def main(config: Config) -> Path:
    """Write the file; returns it. Raises UserError for an existing or too large one, and as loading does."""
    from teacher.checkpoint import read_checkpoint, save_weights
    from teacher.models.registry import load_model

    if config.output.exists():
        raise UserError(f"{config.output}: is there already. Give another name, or move it away.")
    kind = read_checkpoint(config.checkpoint)["hyper_parameters"]["kind"]
    model = load_model(config.checkpoint, kind)
    half_mb = sum(value.numel() for value in model.state_dict().values()) * 2 / 1e6
    if half_mb > MAX_MB:
        raise UserError(
            f"{config.checkpoint}: takes {half_mb:.1f} MB in half precision, "
            f"the limit is {MAX_MB} MB. Train a smaller model."
        )
    return save_weights(config.output, model, kind, half=True)


if __name__ == "__main__":
    run_command(Config, main)
