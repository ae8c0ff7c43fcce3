"""Compare teachers: `python -m distill.compare --recipe configs/compare.yaml`.

Each is trained on the same crops for the same number of images (or minutes), measured, and distilled into a
small student from the map in which a linear landmark probe has the least error. All of it is an ordinary
pipeline (`distill.run`) under OUTPUT_DIR/stages: finished work is skipped, what was cut off goes on.

Writes `table.csv`, `table.md`, `table.png` and `eigenears.png` (the first components side by side).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_text
from configs.groups import Flat
from configs.provenance import write_provenance
from configs.reading.content import read_json
from configs.recipe import Recipe, load_recipe
from distill.compare.options import Comparison
from distill.compare.stages import student_stages, teacher_stages
from distill.compare.table import best_map, write_results
from distill.pipeline.commands import former_names
from distill.pipeline.runner import print_plan, run_pipeline

INTERRUPTED = (130, 143)  # exit status after Ctrl-C and SIGTERM


@dataclass(frozen=True)
class Config:
    """Which teachers, on which ears, and with which settings."""

    output_dir: Path = Path("runs/compare")
    """Where everything is written."""
    jobs: int = 1
    """So many stages at once."""
    dry_run: bool = False
    """Only say what would run first, and why."""
    seed: int = 0
    """Of everything."""
    comparison: Flat[Comparison] = field(default_factory=Comparison)
    """Teachers, ears and settings"""

    FORMERLY: ClassVar[tuple[str, ...]] = former_names("distill.compare")


def main(config: Config) -> Path | None:
    """Train, measure, distil, and write the table; returns the output folder, None for a dry run.

    Raises UserError when a stage does not end well.
    """
    folder, comparison = config.output_dir, config.comparison
    stages = teacher_stages(comparison)
    recipe = _write_recipe(folder, config.seed, stages)
    if config.dry_run:
        print_plan(recipe, list(recipe.stages))
        return None
    _run(recipe, config.jobs)
    write_provenance(folder, config)
    probes = {
        name: read_json(recipe.output_dir(f"{name}_probe") / "metrics.json")["nme"]
        for name in comparison.teachers
    }
    stages |= student_stages(comparison, {name: best_map(probe) for name, probe in probes.items()})
    _run(_write_recipe(folder, config.seed, stages), config.jobs)
    write_results(folder, comparison.teachers)
    return folder


def _write_recipe(folder: Path, seed: int, stages: dict[str, Any]) -> Recipe:
    """The stages as a recipe, also as a file."""
    content = {"run_dir": str(folder / "stages"), "seed": seed, "stages": stages}
    text = yaml.safe_dump(content, sort_keys=False)
    path = write_text(folder / "recipe.yaml", text)
    return load_recipe(path)


def _run(recipe: Recipe, jobs: int) -> None:
    """All stages of the recipe that are stale. Raises UserError where one fails."""
    try:
        run_pipeline(recipe, list(recipe.stages), jobs=jobs)
    except SystemExit as stop:
        if stop.code in INTERRUPTED:
            raise
        raise UserError(f"{recipe.path}: its pipeline ended with {stop.code}; see the lines above.") from None


if __name__ == "__main__":
    run_command(Config, main)
