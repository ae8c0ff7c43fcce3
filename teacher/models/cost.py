"""What a model costs: its parameters, and the time and memory of its training steps"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

try:
    import resource
except ImportError:  # of Unix
    resource = None

STEPS = 3  # that are timed, after one that is not


@dataclass(frozen=True)
class StepCost:
    """Of training steps with one batch size. peak_mb: of a GPU what torch held, else of the whole process."""

    batch_size: int
    images_per_s: float
    peak_mb: float


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """How many there are in total, trainable and frozen."""
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"total": total, "trainable": trainable, "frozen": total - trainable}


def multiply_adds(run: Callable[[], Any]) -> int:
    """Of the convolutions, matrix products and attention in `run`, which gets no gradients."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


def step_cost(
    step: Callable[[], None], batch_size: int, device: torch.device, steps: int = STEPS
) -> StepCost:
    """Time `step`, one training step with `batch_size` images, and watch the memory.

    The peak of a process never falls: measure small batches before large ones. Raises torch.OutOfMemoryError
    where a GPU is too small.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    step()
    _wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _wait(device)
    return StepCost(batch_size, steps * batch_size / (time.perf_counter() - start), peak_mb(device))


def peak_mb(device: torch.device) -> float:
    """The most memory held so far, MB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def memory_limit_mb(device: torch.device) -> float:
    """The most a process can hold, MB: the GPU's memory, or what the machine (and its container) have free
    now beside what this process holds already.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / 1e6
    limits = [_container_limit_mb(), _available_mb() + peak_mb(device)]
    return min(limits)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _available_mb() -> float:
    """Linux' own estimate; infinite where there is none."""
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    found = [float(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else float("inf")


def _container_limit_mb() -> float:
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # control groups, version 2 and 1
        path = Path("/sys/fs/cgroup") / name
        if path.is_file() and (word := path.read_text().strip()).isdigit():
            return int(word) / 1e6
    return float("inf")
