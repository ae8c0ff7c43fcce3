"""Options of the frame teacher's training, in groups. No heavy imports: commands read them for --help."""

from __future__ import annotations

from dataclasses import dataclass

from configs.errors import UserError

LAYER_DECAY = 0.6  # learning rate of each trained stage over that of the one above it


@dataclass(frozen=True)
class ScheduleOptions:
    """Length and optimizer

    Raises UserError for numbers below 1.
    """

    steps: int = 4000
    """Training steps."""
    batch_size: int = 16
    """Views a step."""
    lr: float = 3e-3
    """Highest learning rate (AdamW, warm-up, cosine) of what stands on the network, and of stages of it that
    are trained a fraction: 0.6, 0.36, ... from the last one on.
    """

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: at least 1 is needed.")


@dataclass(frozen=True)
class MachineOptions:
    """Machine and reproducibility"""

    num_workers: int = 2
    """Processes that load photographs."""
    seed: int = 0
    """Seed of weights, order and augmentation."""
    resume: str = ""
    """Checkpoint to continue exactly, or auto: last.ckpt of the output folder if there."""
