"""Measurements in processes of their own: one's memory and threads are not another's."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from configs.processes.lifetime import end_with_parent

# Imported once, in the process that all others are forked from; it computes nothing itself.
PRELOADED = [
    "torch",
    "transformers.models.sam.modeling_sam",
    "teacher.vae_training.module",
    "distill.student.module",
]


def apart(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What `function(*arguments)` returns, with `peak_mb`: its memory above that of the libraries, 1e6 bytes.

    On a GPU the GPU's memory. function: of a module's top level, for another process finds it by its name.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as pool:
        return pool.submit(_watched, function, arguments).result()


def timed(step: Callable[[], Any], repeats: int, warm_up: int = 1, least_s: float = 0) -> float:
    """Median seconds of a step; the device has finished it.

    repeats: at least so many, and as many more as go into `least_s` seconds.
    """
    for _ in range(warm_up):
        step()
    _wait_for_device()
    seconds: list[float] = []
    while len(seconds) < repeats or sum(seconds) < least_s:
        start = time.perf_counter()
        step()
        _wait_for_device()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def timed_together(step: Callable[[], Any], repeats: int, warm_up: int) -> float:
    """Mean seconds of a step, all in a row, so that it counts when some wait for a loader."""
    for _ in range(warm_up):
        step()
    _wait_for_device()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    _wait_for_device()
    return (time.perf_counter() - start) / repeats


def device_name() -> str:
    """cuda or cpu. Only in a process of `apart`: one that has looked for a GPU cannot be forked."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _watched(function: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> dict[str, Any]:
    import torch

    torch.manual_seed(0)
    before = _memory_bytes("VmRSS")
    result = function(*arguments)
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = _memory_bytes("VmHWM") - before
    return {**result, "peak_mb": peak / 1e6}


def _wait_for_device() -> None:
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _memory_bytes(name: str) -> int:
    """VmRSS (now) or VmHWM (the most so far) of this process, from Linux's /proc."""
    for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {name} in /proc")
