"""How much the benchmark measures: everything, or a first look in a minute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPEATS = 3  # timed steps, of which the median counts
SEEDS = 3  # trainings of each switch for parity, of which the mean counts


@dataclass(frozen=True)
class Scale:
    """Sizes of what is measured. The defaults are those of a whole run."""

    blocks: int = 12
    """Blocks of SAM base."""
    frozen: tuple[int, ...] = (6, 9)
    """Blocks kept frozen where the prefix is measured, a row each."""
    roomy_batch: int = 8
    """Crops a step where activations fill the memory, not the optimizer."""
    seconds: float = 10.0
    """A teacher's step is repeated for so long at least."""
    slow_warmup: int = 1
    """Steps at 1024 px before those that count."""
    variants: bool = True
    """Whether transformers' own attention and checkpointing get rows of their own."""
    student_batch: int = 16
    """Images a step of a student."""
    loader_epochs: int = 8
    """Epochs of the loader's rate."""
    ears: int = 96
    """Rendered ears that steps and loader read."""
    scenes: int = 24
    """Rendered scenes that the detector's steps read."""
    manifest_ears: int = 1_000_000
    """Ears of the large manifest."""
    first_epochs: tuple[int, ...] = (1000, 2000, 4000)
    """Ears of the manifests of which a first epoch is timed."""
    rendering: int = 200
    """Ears that are rendered for the renderer's rate."""
    parity_ears: int = 256
    """Ears of the trainings that PSNR is compared of."""
    parity_epochs: int = 8
    """Their epochs."""
    matrix: int = 4096
    """Side of the matrices whose product bounds the machine."""


@dataclass(frozen=True)
class Setup:
    """What every part is given.

    batch_size: crops a step of the teacher. folder: for what is rendered and written. machine: its limits, as
    `distill.bench.machine.limits` measures them.
    """

    scale: Scale
    batch_size: int
    folder: Path
    machine: dict[str, Any]


WHOLE = Scale()
QUICK = Scale(
    blocks=2,
    frozen=(1,),
    roomy_batch=2,
    seconds=0.0,
    slow_warmup=0,
    variants=False,
    student_batch=8,
    loader_epochs=2,
    ears=24,
    scenes=8,
    manifest_ears=100_000,
    first_epochs=(),
    rendering=25,
    parity_ears=48,
    parity_epochs=2,
    matrix=1024,
)
