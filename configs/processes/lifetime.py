"""Processes that end when the one that started them does: a run that is killed leaves nobody behind.

A killed process cannot end its children, so each child watches. A stage asks the kernel to (Linux) or looks
who its parent is; a worker waits on the pipe that multiprocessing holds open as long as its parent lives.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

PARENT_VARIABLE = "PINNA_PIPELINE_PID"  # set by `distill.run`: its stages end with it
_LOOK_EVERY_S = 0.5
_watching: set[int] = set()  # ids of processes: this one, or one that it was forked from


def end_with_pipeline() -> None:
    """End this process, a stage, with the pipeline that started it; nothing where none did.

    Of a stage's several processes each ends with the one that started it.
    """
    pipeline = os.environ.get(PARENT_VARIABLE)
    if pipeline is None:
        return
    parent = os.getppid() if "LOCAL_RANK" in os.environ else int(pipeline)
    if sys.platform == "linux":  # at once, also while Python is busy elsewhere
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, linux/prctl.h
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)
    if sys.platform != "linux":
        _watch(lambda: _wait_for_other_parent(parent))


def end_with_parent() -> None:
    """End this process, a worker of multiprocessing (any start method), when the process that made it ends.

    To be called in the worker, as the initializer of a pool or of a loader's workers.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        _watch(parent.join)


def _watch(wait: Callable[[], Any]) -> None:
    """Wait in a thread, then kill this process: an exit could still wait for others that live on."""
    if os.getpid() in _watching:
        return
    _watching.add(os.getpid())

    def watch() -> None:
        wait()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="ends with its parent", daemon=True).start()


def _wait_for_other_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
