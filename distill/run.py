"""Run a recipe's stages as a pipeline: in order, only what is stale, resuming what was cut off.

Each stage is a process of its own (`python -m COMMAND ...`). It works in RUN_DIR/.work/STAGE and is
published as RUN_DIR/STAGE when it has ended well, so an output is there whole or not at all. Its log is
RUN_DIR/logs/STAGE.log.

A stage is stale when its command, an option, an input file from outside the run or an upstream stage changed.
The source code does not count: a command whose results change has a new VERSION; --force runs a stage anyway.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_atomic
from configs.provenance import WORK
from configs.recipe import Recipe, load_recipe, to_plain, with_overrides
from distill.pipeline.fingerprint import Fingerprints
from distill.pipeline.plan import StagePlan, missing_upstream_paths, plan_stages
from distill.pipeline.publish import adopt, complete_publications, locked, resumes
from distill.pipeline.schedule import run_stages, stage_command, stage_identity
from distill.pipeline.selection import choose


@dataclass
class Config:
    """Which recipe, which of its stages, and what to do with them."""

    recipe: tyro.conf.Positional[Path]
    """the recipe, such as configs/demo.yaml"""
    dry_run: bool = False
    """only say what would run, and why"""
    commands: bool = False
    """only print the plain commands (for a batch queue); their outputs go to RUN_DIR/STAGE"""
    only: tuple[str, ...] = ()
    """run these stages and no other"""
    start: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """run this stage and those that depend on it"""
    until: str | None = None
    """run this stage and those it needs"""
    run_dir: Path | None = None
    """another run folder than the recipe's"""
    set: tuple[str, ...] = ()
    """settings over the recipe's, as STAGE.KEY=VALUE, several in a row"""
    force: bool = False
    """run the chosen stages also when they are up to date"""
    jobs: int = 1
    """so many stages at once, where they do not need each other"""
    adopt: tuple[str, ...] = ()
    """take these stages' folders RUN_DIR/STAGE, made by their plain commands, as finished; run nothing"""


def main(config: Config) -> Path | None:
    """Run, or show, what the flags ask for. Returns the run folder, None when nothing ran."""
    if config.jobs < 1:
        raise UserError(f"--jobs {config.jobs}: at least 1 is needed.")
    recipe = with_overrides(load_recipe(config.recipe), list(config.set), config.run_dir)
    chosen = choose(recipe, config.adopt or config.only, config.start, config.until)
    memory = recipe.run_dir / WORK / "fingerprints.json"
    if config.commands or config.dry_run:
        plans = plan_stages(recipe, Fingerprints(memory), chosen)
        if config.commands:
            for name in chosen:
                print(shlex.join(stage_command(plans[name].config)))
        else:
            _refuse_gaps(plans, chosen)
            print("\n".join(describe(plans, chosen, config.force)))
        return None
    if config.adopt:
        with locked(recipe.run_dir):
            complete_publications(recipe)
            fingerprints = Fingerprints(memory)
            plans = plan_stages(recipe, fingerprints, chosen)
            fingerprints.remember()
            _adopt(plans, chosen)
        return recipe.run_dir
    run_pipeline(recipe, chosen, config.force, config.jobs)
    return recipe.run_dir


def run_pipeline(
    recipe: Recipe, chosen: Sequence[str], force: bool = False, jobs: int = 1, keep_going: bool = False
) -> dict[str, str]:
    """Run the chosen stages that are stale, alone in the run folder; see
    `distill.pipeline.schedule.run_stages`.
    """
    with locked(recipe.run_dir):
        complete_publications(recipe)
        fingerprints = Fingerprints(recipe.run_dir / WORK / "fingerprints.json")
        plans = plan_stages(recipe, fingerprints, chosen)
        fingerprints.remember()
        _refuse_gaps(plans, chosen)
        _write_recipe(recipe)
        return run_stages(recipe, plans, chosen, force, jobs, keep_going)


def describe(plans: dict[str, StagePlan], chosen: list[str], force: bool = False) -> list[str]:
    """One line a stage: whether it would run, and why."""
    lines = []
    width = max(len(name) for name in plans)
    for name, plan in plans.items():
        reasons = "; ".join(plan.reasons)
        if name not in chosen:
            verdict, why = "-", f"not chosen; {'stale: ' + reasons if reasons else 'up to date'}"
        elif plan.reasons or force:
            verdict, why = "run", reasons or "forced"
            if _can_resume(plan, plans):
                why += "; goes on where it was cut off"
        else:
            verdict, why = "skip", "up to date"
        lines.append(f"{verdict:<4} {name:<{width}}  {why}")
    return lines


def _refuse_gaps(plans: dict[str, StagePlan], chosen: list[str]) -> None:
    """A chosen stage needs outputs of stages that are neither chosen nor there."""
    for name in chosen:
        for need in plans[name].needs:
            if need not in chosen and plans[need].record is None:
                raise UserError(f"stage {name!r} needs {need!r}, which never ran: choose it as well.")
            if need not in chosen and plans[need].reasons:
                why = "; ".join(plans[need].reasons)
                print(f"note: {name} takes {need} as it is, though it is stale ({why})", file=sys.stderr)
        if all(plans[need].record is not None and not plans[need].reasons for need in plans[name].needs):
            complaints = missing_upstream_paths(plans[name])
            if complaints:
                raise UserError(f"stage {name!r}: " + " ".join(complaints))


def _adopt(plans: dict[str, StagePlan], chosen: list[str]) -> None:
    for name in chosen:
        for need in plans[name].needs:
            if plans[need].record is None:
                raise UserError(f"stage {name!r} needs {need!r}: adopt or run that one first.")
        plans[name].record = adopt(plans[name], stage_identity(plans[name], plans))
        print(f"{name}: {plans[name].output_dir} counts as finished")


def _can_resume(plan: StagePlan, plans: dict[str, StagePlan]) -> bool:
    if any(plans[need].reasons for need in plan.needs):
        return False
    return resumes(plan, stage_identity(plan, plans))


def _write_recipe(recipe: Recipe) -> None:
    """The recipe as it was run, overrides included."""
    import yaml

    text = yaml.safe_dump(to_plain(recipe), sort_keys=False, allow_unicode=True)
    write_atomic(recipe.run_dir / "recipe.yaml", lambda path: path.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    run_command(Config, main)
