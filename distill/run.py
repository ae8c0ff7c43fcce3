"""Run a recipe's stages as a pipeline: in order, only what is stale, resuming what was cut off.

Each stage is a process of its own (`python -m COMMAND ...`). It works in RUN_DIR/.work/STAGE and is
published as RUN_DIR/STAGE when it has ended well, so an output is there whole or not at all. Its log is
RUN_DIR/logs/STAGE.log.

A stage is stale when its command, an option, an input file from outside the run or an upstream stage changed.
The source code does not count: a command whose results change has a new VERSION; --force runs a stage anyway.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from configs.command import run_command
from configs.recipe import load_recipe, with_overrides
from distill.pipeline.runner import adopt_stages, planned, print_plan, run_pipeline
from distill.pipeline.schedule import stage_command
from distill.pipeline.selection import choose
from distill.pipeline.status import status


@dataclass
class Config:
    """Which recipe, which of its stages, and what to do with them."""

    recipe: tyro.conf.Positional[Path]
    """the recipe, such as configs/demo.yaml"""
    dry_run: bool = False
    """only say what would run, and why"""
    status: bool = False
    """only say how each stage stands, how old and large it is, and what is at work"""
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
    recipe = with_overrides(load_recipe(config.recipe), list(config.set), config.run_dir)
    chosen = choose(recipe, config.adopt or config.only, config.start, config.until)
    if config.status:
        print("\n".join(status(recipe)))
        return None
    if config.commands:
        plans = planned(recipe, chosen)
        print("\n".join(shlex.join(stage_command(plans[name].config)) for name in chosen))
        return None
    if config.dry_run:
        print_plan(recipe, chosen, config.force)
        return None
    if config.adopt:
        adopt_stages(recipe, chosen)
    else:
        run_pipeline(recipe, chosen, config.force, config.jobs)
    return recipe.run_dir


if __name__ == "__main__":
    run_command(Config, main)
