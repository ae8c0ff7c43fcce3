"""Measure what training and distilling cost: `python -m distill.bench`, or --quick for a first look.

Each way of saving stands beside its plain counterpart of the same run, the ratio first: the teacher's step,
distillation from kept maps, the loader, manifests of a million ears, rendering, and the PSNR that the savings
may cost. Writes bench.json and bench.md (its table) into the output folder. Random weights of SAM base's
sizes, rendered ears: no network, no photographs. Let nothing else run meanwhile. A GPU is used where there is
one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from configs.command import run_command
from configs.errors import UserError, did_you_mean
from configs.files import write_json, write_text
from configs.groups import Fixed, Gone
from configs.provenance import git_revision, versions
from distill.bench.apart import apart
from distill.bench.machine import limits
from distill.bench.scale import QUICK, REPEATS, SEEDS, WHOLE, Setup
from distill.bench.table import Row, markdown


@dataclass(frozen=True)
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

    GONE: ClassVar[Mapping[str, Gone]] = {
        "repeats": Fixed(REPEATS, "the number of timed steps, the same for all tables"),
        "seeds": Fixed(SEEDS, "the number of trainings for parity, the same for all tables"),
    }


def main(config: Config) -> Path:
    """Measure, print and write; returns bench.json."""
    from distill.bench.parts import NOT_QUICK, PARTS  # imports torch and all that is measured

    for name in config.only:
        if name not in PARTS:
            raise UserError(f"only={name}: allowed are {', '.join(PARTS)}.{did_you_mean(name, PARTS)}")
    chosen = config.only or [name for name in PARTS if not (config.quick and name in NOT_QUICK)]
    scale = QUICK if config.quick else WHOLE
    machine = apart(limits, scale.matrix, REPEATS)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="pinna-bench-") as folder:
        setup = Setup(scale, config.batch_size, Path(folder), machine)
        for name in chosen:
            for row in PARTS[name](setup):
                print(f"{row.what}: {row.value:.4g} {row.unit}", flush=True)  # as soon as it is there
                rows.append(row)
    table = markdown(rows, machine)
    print(f"\n{table}")
    write_text(config.output_dir / "bench.md", f"{table}\n")
    origin = {"quick": config.quick, "git_revision": git_revision(), "versions": versions()}
    content = {**origin, "machine": machine, "rows": [row.as_dict() for row in rows]}
    return write_json(config.output_dir / "bench.json", content)


if __name__ == "__main__":
    run_command(Config, main)
