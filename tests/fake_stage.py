"""A stage for tests of commands and pipeline: copies its inputs' text into `out.txt`, a step at a time."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_atomic

RESUMES_FROM = ("partial.txt",)


@dataclass(frozen=True)
class Geometry:
    """Nested options."""

    flip: bool = True
    """mirror half of the images"""
    rotate_deg: float = 10.0
    """largest rotation, degrees"""


@dataclass
class Config:
    """Options of the fake stage."""

    output_dir: Path
    """where the result goes"""
    inputs: list[Path] = field(default_factory=list)
    """files whose text is copied"""
    weights: Path | None = None
    """one more file"""
    word: str = "hello"
    """what to write, once a step"""
    steps: int = 2
    """lines to write"""
    lr: float = 1e-3
    """a number"""
    labels: int | float | None = None
    """a number or a fraction"""
    mode: Literal["plain", "fail", "user_error", "kill_once", "wait", "interrupt", "meet"] = "plain"
    """what goes wrong"""
    options: dict[str, int | str] | None = None
    """a mapping"""
    geometry: Geometry = field(default_factory=Geometry)
    """a group"""
    num_workers: int = 0
    """without effect on the result"""
    seed: int = 0
    """written into the result"""
    resume: str = ""
    """auto: go on after the lines that are there"""

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise UserError(f"steps = {self.steps} is negative.")


def main(config: Config) -> Path:
    """Write `steps` lines, going on where an earlier run was killed."""
    config.output_dir.mkdir(parents=True, exist_ok=True)
    partial = config.output_dir / "partial.txt"
    done = partial.read_text().splitlines() if config.resume == "auto" and partial.exists() else []
    if done:
        print(f"resumed after {len(done)} lines")
    for step in range(len(done), config.steps):
        done.append(f"{config.word} {step} seed {config.seed}")
        partial.write_text("\n".join(done))
        sys.stderr.write(f"\rstep {step}")
        if config.mode == "kill_once" and not config.resume:
            os.kill(os.getpid(), signal.SIGKILL)
        if config.mode == "wait" and not config.resume:
            time.sleep(60)
    if config.mode == "meet":
        done += [_meet(config), f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}"]
    if config.mode == "fail":
        sys.exit(7)
    if config.mode == "user_error":
        raise UserError("this stage cannot work.")
    if config.mode == "interrupt":
        raise KeyboardInterrupt
    copied = [path.read_text() for path in [*config.inputs, *([config.weights] if config.weights else [])]]
    settings = {key: str(value) for key, value in dataclasses.asdict(config).items()}
    text = "\n".join([*done, *copied, settings["geometry"]])
    return write_atomic(config.output_dir / "out.txt", lambda path: path.write_text(text))


def _meet(config: Config) -> str:
    """Write a file and wait for that of the other stage, which must be at work at the same time."""
    other = str(config.options["other"])
    Path(config.word).touch()
    for _ in range(600):
        if Path(other).exists():
            return f"{config.word} met {other}"
        time.sleep(0.05)
    raise UserError(f"{other} never came")


if __name__ == "__main__":
    run_command(Config, main)
