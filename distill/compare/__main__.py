"""Compare teachers: `python -m distill.compare --recipe configs/compare.yaml`.

Each is trained on the same crops for the same number of images (or minutes), measured, and distilled into a
small student from the map that a linear landmark probe reads best. All of it is an ordinary pipeline
(`distill.run`) under OUTPUT_DIR/stages: finished work is skipped, what was cut off goes on.

Writes `table.csv`, `table.md`, `table.png` and `eigenears.png` (the first components side by side).
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.command import PARENT_VARIABLE, run_command
from configs.errors import UserError, did_you_mean

PIPELINE = "distill.run"  # started as a process: this package knows nothing of those behind it


@dataclass
class Config:
    """Which teachers, on which ears, and with which settings."""

    teachers: tuple[str, ...] = (
        "sam",
        "mae",
        "convnextv2_tiny",
        "resnet50",
        "mobilenetv3",
        "hybrid",
        "margin",
    )
    """Names that `teacher.check --list` prints."""
    data_dir: Path | None = None
    """Folder of data.prepare or data.render (train, val and test, with labels); none: ears are rendered."""
    render: dict[str, Any] = field(default_factory=lambda: {"ears": 2000, "val_ears": 200, "test_ears": 200})
    """Options of data.render, when there is no data_dir."""
    output_dir: Path = Path("runs/compare")
    """Where everything is written."""
    train: dict[str, Any] = field(default_factory=dict)
    """Options of teacher.train for all; epochs, max_minutes and batch_size are also the margin teacher's."""
    teacher_options: dict[str, Any] = field(default_factory=dict)
    """Options of one teacher over those, by its name: {sam: {backbone_options: {...}}}."""
    maps: dict[str, Any] = field(default_factory=lambda: {"grid": 16, "views": 2})
    """Options of distill.cache."""
    student: dict[str, Any] = field(default_factory=lambda: {"labels": 100, "steps": 500, "rounds": 5})
    """Options of distill.train for every student and for the one without a teacher."""
    jobs: int = 1
    """So many stages at once."""
    dry_run: bool = False
    """Only say what would run first, and why."""
    seed: int = 0
    """Of everything."""

    def __post_init__(self) -> None:
        """Raise UserError for teachers that there are not, and for too few."""
        from teacher.check import names

        for name in (*self.teachers, *self.teacher_options):
            if name not in names():
                hint = did_you_mean(name, names())
                raise UserError(f"teacher {name!r} is unknown; allowed: {', '.join(names())}.{hint}")
        if len(set(self.teachers)) < max(2, len(self.teachers)):
            raise UserError(f"teachers {', '.join(self.teachers)}: at least two different ones are needed")


def main(config: Config) -> Path | None:
    """Train, measure, distil, and write the table; returns the output folder, None for a dry run.

    Raises UserError when a stage does not end well.
    """
    from configs.files import read_json
    from configs.provenance import write_provenance
    from distill.compare.stages import student_stages, teacher_stages
    from distill.compare.table import best_map, write_results

    output_dir = Path(config.output_dir)
    stages = teacher_stages(config)
    _run(config, stages)
    if config.dry_run:
        return None
    write_provenance(output_dir, config)
    probes = {
        name: read_json(output_dir / "stages" / f"{name}_probe" / "metrics.json")["nme"]
        for name in config.teachers
    }
    _run(config, stages | student_stages(config, {name: best_map(probe) for name, probe in probes.items()}))
    write_results(output_dir, config.teachers)
    return output_dir


def _run(config: Config, stages: dict[str, Any]) -> None:
    """The stages as a recipe, run by the pipeline; it ends with this process."""
    import yaml

    from configs.files import write_atomic

    content = {"run_dir": str(config.output_dir / "stages"), "seed": config.seed, "stages": stages}
    text = yaml.safe_dump(content, sort_keys=False)
    path = Path(config.output_dir) / "recipe.yaml"
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    command = [sys.executable, "-m", PIPELINE, str(path), "--jobs", str(config.jobs)]
    command += ["--dry-run"] if config.dry_run else []
    ended = subprocess.run(command, env=os.environ | {PARENT_VARIABLE: str(os.getpid())})
    if ended.returncode:
        raise UserError(
            f"{path}: its pipeline ended with {ended.returncode}; the lines above say where and why."
        )


if __name__ == "__main__":
    run_command(Config, main)
