"""Which run is at work in a run folder, and on what: it says so itself, believed while it holds the lock."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from configs.errors import UserError, WriteError
from configs.files import write_json
from configs.provenance import WORK
from configs.reading.content import read_json
from configs.reading.records import as_record

LOCK, LIVE = "lock", "live.json"  # in RUN_DIR/.work


@dataclass(frozen=True)
class LiveRun:
    """A run at work. began: stage -> when it began, seconds of the epoch, of those at work now."""

    process: int
    host: str
    began: dict[str, float]

    def __str__(self) -> str:
        """Where it runs, and what."""
        stages = ", ".join(f"{name} since {duration(time.time() - at)}" for name, at in self.began.items())
        return f"process {self.process} on {self.host}, at work on {stages or 'its plan'}"


def say_live(run_dir: Path, stages: Iterable[tuple[str, float]] = ()) -> None:
    """Write down that this process is the run at work, with (stage, when it began) of those under way.

    A disk that is full does not matter: nothing depends on it.
    """
    content = {"process": os.getpid(), "host": socket.gethostname(), "began": dict(stages)}
    with contextlib.suppress(WriteError):
        write_json(run_dir / WORK / LIVE, content)


def live_run(run_dir: Path) -> LiveRun | None:
    """The run at work in a folder, None when there is none. Writes nothing, and waits for nobody."""
    lock = run_dir / WORK / LOCK
    if not lock.exists():
        return None
    try:
        with FileLock(lock).acquire(timeout=0):
            return None
    except Timeout:
        pass
    except OSError:  # a folder that may only be read
        return None
    try:
        return as_record(LiveRun, read_json(run_dir / WORK / LIVE), f"{run_dir}")
    except UserError:  # it has only just begun
        return LiveRun(0, "this machine or another", {})


def duration(seconds: float) -> str:
    """In words, as people say it."""
    if not math.isfinite(seconds):
        return "an unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
