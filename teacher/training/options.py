"""Options that trainings share. No heavy imports: commands read them for --help."""

from __future__ import annotations

from dataclasses import dataclass

WEIGHT_DECAY = 0.05  # of matrices and kernels, as in the AdamW recipe of ConvNeXt (arXiv:2201.03545, table 5)
GRADIENT_CLIP = 1.0  # largest norm of the gradient; students, whose steps are larger, have their own
LOGGED_EVERY = 10  # batches: the rest of an epoch's steps log nothing and wait for nothing


@dataclass(frozen=True)
class OptimizerOptions:
    """Optimizer"""

    lr: float = 3e-4
    """Highest learning rate (AdamW, warm-up, cosine)."""
    warmup_steps: int = 500
    """Steps over which the learning rate rises."""


@dataclass(frozen=True)
class TrainerOptions:
    """Machine and reproducibility"""

    precision: str = "32"
    """32, bf16-mixed, 16-mixed, bf16-true or 64."""
    devices: int = 1
    """GPUs (or processes on the CPU) to train on, on each machine (docs/cluster.md)."""
    num_workers: int = 2
    """Processes that load images."""
    seed: int = 0
    """Seed of weights, choice of labels, order, augmentation and noise."""
    resume: str = ""
    """Checkpoint to continue exactly, or auto: last.ckpt of the output folder if there."""
