"""A recipe's chosen stages run, described or adopted, alone in the run folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import yaml

from configs.errors import UserError
from configs.files import write_text
from configs.provenance import WORK
from configs.recipe import Recipe, to_plain
from distill.pipeline.fingerprint import Fingerprints
from distill.pipeline.live import live_run
from distill.pipeline.plan import StagePlan, missing_upstream_paths, plan_stages
from distill.pipeline.publish import adopt, complete_publications, has_checkpoint, locked, resumes
from distill.pipeline.schedule import run_stages, stage_identity


def run_pipeline(
    recipe: Recipe, chosen: Sequence[str], force: bool = False, jobs: int = 1, keep_going: bool = False
) -> dict[str, str]:
    """Run those of the chosen stages that are stale, as `distill.pipeline.schedule.run_stages` does.

    Writes RUN_DIR/recipe.yaml, the recipe as it was run. Raises UserError when another run is at work in the
    folder, for fewer than one job, for a chosen stage whose needs are neither chosen nor there, and what
    `plan_stages` raises.
    """
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: at least 1 is needed.")
    with locked(recipe.run_dir):
        plans = _plans_for_work(recipe, chosen)
        _refuse_gaps(plans, chosen)
        text = yaml.safe_dump(to_plain(recipe), sort_keys=False, allow_unicode=True)
        write_text(recipe.run_dir / "recipe.yaml", text)
        return run_stages(recipe, plans, chosen, force, jobs, keep_going)


def adopt_stages(recipe: Recipe, chosen: Sequence[str]) -> None:
    """Take the chosen stages' folders, made by their plain commands, as finished.

    Raises UserError for a stage whose folder, or whose upstream stage's record, is not there.
    """
    with locked(recipe.run_dir):
        plans = _plans_for_work(recipe, chosen)
        for name in chosen:
            for need in plans[name].needs:
                if plans[need].record is None:
                    raise UserError(f"stage {name!r} needs {need!r}: adopt or run that one first.")
            plans[name].record = adopt(plans[name], stage_identity(plans[name], plans))
            print(f"{name}: {plans[name].output_dir} counts as finished")


def print_plan(recipe: Recipe, chosen: Sequence[str], force: bool = False) -> None:
    """Print whether each stage would run, and why. Raises what `run_pipeline` would; writes nothing."""
    live = live_run(recipe.run_dir)
    plans = planned(recipe, chosen)
    _refuse_gaps(plans, chosen)
    print("\n".join(describe(plans, chosen, force)))
    if live is not None:
        print(f"note: a run is at work here ({live}); this is the plan without it.", file=sys.stderr)


def planned(recipe: Recipe, chosen: Sequence[str]) -> dict[str, StagePlan]:
    """The plans of all stages if the chosen ones would run; writes nothing."""
    return plan_stages(recipe, remembered_fingerprints(recipe), chosen)


def remembered_fingerprints(recipe: Recipe) -> Fingerprints:
    """Digests of input files, with those that earlier runs in the folder have computed."""
    return Fingerprints(recipe.run_dir / WORK / "fingerprints.json")


def describe(plans: dict[str, StagePlan], chosen: Sequence[str], force: bool = False) -> list[str]:
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
                why += f"; {how_it_goes_on(plan)}"
        else:
            verdict, why = "skip", "up to date"
        lines.append(f"{verdict:<4} {name:<{width}}  {why}")
    return lines


def how_it_goes_on(plan: StagePlan) -> str:
    """What a stage does that was cut off and asks for the same thing again."""
    if has_checkpoint(plan):
        return "goes on where it was cut off"
    return "starts anew, for it was cut off before its first checkpoint"


def _plans_for_work(recipe: Recipe, chosen: Sequence[str]) -> dict[str, StagePlan]:
    """The plans, once finished work has its place; the folder must be locked."""
    complete_publications(recipe)
    fingerprints = remembered_fingerprints(recipe)
    plans = plan_stages(recipe, fingerprints, chosen)
    fingerprints.remember()
    return plans


def _refuse_gaps(plans: dict[str, StagePlan], chosen: Sequence[str]) -> None:
    """Raise UserError when a chosen stage needs what is neither chosen nor there."""
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


def _can_resume(plan: StagePlan, plans: dict[str, StagePlan]) -> bool:
    if any(plans[need].reasons for need in plan.needs):
        return False
    return resumes(plan, stage_identity(plan, plans))
