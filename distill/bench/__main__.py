"""Measure what training and distilling cost: `python -m distill.bench`, or --quick for a first look.

Each way of saving stands beside its plain counterpart of the same run, the ratio first: the teacher's step,
distillation from kept maps, the loader, manifests of a million ears, rendering, and the PSNR that the savings
may cost. Writes bench.json and bench.md (its table) into the output folder. Random weights of SAM base's
sizes, rendered ears: no network, no photographs. Let nothing else run meanwhile. A GPU is used where there is
one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from configs.command import run_command
from configs.errors import UserError, did_you_mean
from distill.bench.scale import QUICK, WHOLE, Scale

if TYPE_CHECKING:
    from distill.bench.table import Row


@dataclass
class Config:
    """Measure what training and distilling cost, each saving beside its plain counterpart."""

    output_dir: Path = Path("runs")
    """Folder of bench.json and bench.md."""
    only: tuple[str, ...] = ()
    """Only these parts: teacher, sizes, students, loader, manifest, render, parity."""
    quick: bool = False
    """Two blocks of SAM base instead of twelve, and few images; sizes, students, loader and parity only if
    asked for.
    """
    batch_size: int = 1
    """Crops a step of the teacher; the usual recipe at 1024 px needs many GB for each."""
    repeats: int = 3
    """Timed steps, of which the median counts."""
    seeds: int = 3
    """Trainings of each switch for parity."""

    @property
    def scale(self) -> Scale:
        """How much is measured."""
        return QUICK if self.quick else WHOLE


def main(config: Config) -> Path:
    """Measure, print and write; returns bench.json."""
    from configs.files import write_atomic, write_json
    from configs.provenance import git_revision, versions
    from distill.bench.apart import apart
    from distill.bench.machine import limits
    from distill.bench.parts import NOT_QUICK, PARTS
    from distill.bench.table import markdown

    for name in config.only:
        if name not in PARTS:
            raise UserError(f"only={name}: allowed are {', '.join(PARTS)}.{did_you_mean(name, PARTS)}")
    chosen = config.only or [name for name in PARTS if not (config.quick and name in NOT_QUICK)]
    machine = apart(limits, config.scale.matrix, config.repeats)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="pinna-bench-") as folder:
        for name in chosen:
            rows += _told(PARTS[name], config, Path(folder), machine)
    table = markdown(rows, machine)
    print(f"\n{table}")
    write_atomic(config.output_dir / "bench.md", lambda path: path.write_text(f"{table}\n", encoding="utf-8"))
    origin = {"quick": config.quick, "git_revision": git_revision(), "versions": versions()}
    content = {**origin, "machine": machine, "rows": [row.as_dict() for row in rows]}
    return write_json(config.output_dir / "bench.json", content)


def _told(part: Callable, config: Config, folder: Path, machine: dict) -> Iterator[Row]:
    """The rows of a part, each printed as soon as it is there."""
    for row in part(config, folder, machine):
        print(f"{row.what}: {row.value:.4g} {row.unit}", flush=True)
        yield row


if __name__ == "__main__":
    run_command(Config, main)
