"""Is the distilled student better than the same student trained on the same labels alone?

A study trains every arm with every label budget and several seeds, the arms of one budget and seed on the
same labels from the same first weights, scores each on the test set once, and says of each pair of arms
whether one beats the other. It is an ordinary pipeline (`distill.run`) under RUN_DIR/stages: finished work is
skipped, what was cut off goes on, and the same command again only renews the analysis.

Writes cells/MODEL.ARM.BUDGET.SEED.json, study.json, study.md, curve_MODEL.png and landmarks_MODEL.png.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_json, write_text
from configs.provenance import git_revision
from configs.recipe import Recipe
from distill.pipeline.plan import plan_stages
from distill.pipeline.runner import describe, planned, remembered_fingerprints, run_pipeline
from distill.pipeline.selection import with_needs
from distill.study.analysis import analyse
from distill.study.cells import collect
from distill.study.expand import Cell, choose_cells, expand
from distill.study.pictures import curve_picture, has_landmarks_picture, landmarks_picture
from distill.study.recipe import Study, load_study
from distill.study.tables import study_page


@dataclass
class Config:
    """Which study, which of its cells, and how many at once."""

    recipe: tyro.conf.Positional[Path]
    """the study's recipe, such as configs/study.yaml"""
    dry_run: bool = False
    """only say what would run, and why"""
    models: tuple[str, ...] = ()
    """run only the cells of these models"""
    arms: tuple[str, ...] = ()
    """run only the cells of these arms"""
    budgets: tuple[str, ...] = ()
    """run only the cells of these label budgets: numbers, or all"""
    seeds: tuple[int, ...] = ()
    """run only the cells of these seeds"""
    jobs: int = 1
    """so many stages at once, each with its share of the threads"""
    run_dir: Path | None = None
    """another run folder than the recipe's"""


def main(config: Config) -> Path | None:
    """Run what is stale of the chosen cells, then analyse all that are there. Returns where that lies."""
    study = load_study(config.recipe, config.run_dir)
    recipe, cells = expand(study)
    wanted = choose_cells(study, cells, config.models, config.arms, config.budgets, config.seeds)
    chosen = with_needs(recipe, [cell.score_stage for cell in wanted])
    plans = planned(recipe, chosen)
    if config.dry_run:
        print("\n".join(describe({name: plans[name] for name in chosen}, chosen)))
        print(f"{len(wanted)} of {len(cells)} cells, {len(chosen)} of {len(plans)} stages are chosen")
        return None
    failed: dict[str, str] = {}
    if any(plans[name].reasons for name in chosen):  # else the folder may be another run's to work in
        failed = run_pipeline(recipe, chosen, jobs=config.jobs, keep_going=True)
    result = report(study, recipe, cells)
    if failed:
        names = ", ".join(name for name, why in failed.items() if not why.startswith("not run"))
        print(f"error: {len(failed)} stages did not end well, first of all {names}", file=sys.stderr)
        print(f"result: {result}", flush=True)
        sys.exit(1)
    return result


def report(study: Study, recipe: Recipe, cells: list[Cell]) -> Path:
    """Analyse the cells that are there; returns study.md. Raises UserError when there are none."""
    gathered = collect(study.run_dir, cells, plan_stages(recipe, remembered_fingerprints(recipe)))
    if not gathered.found:
        raise UserError(f"{study.run_dir}: no cell is finished yet, there is nothing to analyse.")
    content = {"git_revision": git_revision(), **analyse(study, gathered)}
    write_json(study.run_dir / "study.json", content)
    page = study_page(content)
    print(page)
    _draw(study.run_dir, content)
    return write_text(study.run_dir / "study.md", page)


def _draw(folder: Path, content: dict[str, Any]) -> None:
    for name, model in content["models"].items():
        curve_picture(name, model, folder / f"curve_{name}.png")
        if has_landmarks_picture(model):
            landmarks_picture(model, folder / f"landmarks_{name}.png")


if __name__ == "__main__":
    run_command(Config, main)
