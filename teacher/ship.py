"""Write the weights of a checkpoint alone, in half precision, to hand them on.

The small teacher in teacher/pretrained/ was written by this. It loads wherever a checkpoint does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from configs.command import run_command
from configs.errors import UserError


@dataclass
class Config:
    """Make a trained model small enough to hand on."""

    checkpoint: Path
    """A trained EarVAE or EarDetector."""
    output: Path
    """The file to write; it must not exist yet."""
    max_mb: float = 25.0
    """Refuse to write a larger file, megabytes of 10^6 bytes."""


def main(config: Config) -> Path:
    """Write the file; returns it. Raises UserError for an existing or too large one, and as loading does."""
    from teacher.checkpoint import load_model, read_checkpoint, save_weights

    if config.output.exists():
        raise UserError(f"{config.output}: is there already. Give another name, or move it away.")
    kind = read_checkpoint(config.checkpoint)["hyper_parameters"]["kind"]
    model = load_model(config.checkpoint, kind)
    half_mb = sum(value.numel() for value in model.state_dict().values()) * 2 / 1e6
    if half_mb > config.max_mb:
        raise UserError(
            f"{config.checkpoint}: takes {half_mb:.1f} MB in half precision, "
            f"the limit is {config.max_mb} MB. Raise --max-mb, or train a smaller model."
        )
    return save_weights(config.output, model, kind, half=True)


if __name__ == "__main__":
    run_command(Config, main)
