"""A recipe's stages, planned: what each one would do now, and why.

A published stage carries `stage.json`, the record of what made it: command and its version, settings,
digests of the files from outside, and which run of each upstream stage it used. A stage is stale when the
record differs from what the recipe asks for now. The source code is not in the record; a command whose
results change says so by raising `VERSION` in its module (1 where it has none). One that resumes from other
files than `last.ckpt` names them in RESUMES_FROM.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from configs.build import build, build_partial, field_types
from configs.errors import UserError, did_you_mean
from configs.groups import options_of
from configs.provenance import WORK
from configs.reading.content import read_json
from configs.reading.records import as_record
from configs.recipe import RUN, Recipe, references
from distill.pipeline.commands import command_module, todays_command
from distill.pipeline.fingerprint import Fingerprints
from distill.pipeline.settings import changed_settings, settings_of

T = TypeVar("T")
RECORD = "stage.json"


@dataclass
class StagePlan:
    """One stage, as the recipe asks for it now."""

    name: str
    command: str
    config: object
    """the command's Config, paths resolved, output_dir = the published folder"""
    needs: tuple[str, ...]
    output_dir: Path
    """where the published output lies or will lie"""
    work_dir: Path
    """where the stage works"""
    settings: dict[str, Any]
    """{dotted option: plain value}, `${stage}` unresolved, those without effect left out"""
    defaults: dict[str, Any]
    inputs: dict[str, str]
    """{path of a file from outside: digest}"""
    version: int
    upstream_paths: list[tuple[str, Path]]
    """(upstream stage, path inside its output) the options name"""
    resumes_from: tuple[str, ...] = ("last.ckpt",)
    """names of the files that a command which can resume goes on from, its module's RESUMES_FROM"""
    record: dict[str, Any] | None = None
    """what made the published output, None when there is none"""
    reasons: list[str] = field(default_factory=list)
    """why it is stale; empty when it is up to date"""

    @property
    def resumable(self) -> bool:
        """Whether the command can go on from where it was cut off."""
        return "resume" in field_types(type(self.config))

    def identity(self, upstream_runs: dict[str, str]) -> dict[str, Any]:
        """What decides the stage's result, JSON-able. `upstream_runs`: {upstream stage: id of its run}."""
        return {
            "command": self.command,
            "version": self.version,
            "settings": self.settings,
            "inputs": self.inputs,
            "upstream": {need: upstream_runs[need] for need in self.needs},
        }


def plan_stages(
    recipe: Recipe, fingerprints: Fingerprints, chosen: Collection[str] | None = None
) -> dict[str, StagePlan]:
    """Every stage of the recipe, in order, with the reasons why it is stale.

    chosen: the stages that would run, all when None; the others' outputs are taken as they are.

    Raises UserError for a command that is none, options that do not fit it, and inputs which do not exist and
    which no stage makes.
    """
    plans: dict[str, StagePlan] = {}
    for name in recipe.stages:
        plans[name] = plan = _plan_stage(recipe, name, fingerprints)
        plan.record = read_record(plan.output_dir)
        plan.reasons = _reasons(plan, plans, recipe.stages if chosen is None else chosen)
    return plans


@dataclass(frozen=True)
class StageRecord:
    """What stage.json says: `StagePlan.identity` of what was asked for, and of the run that made it."""

    command: str
    version: int
    settings: dict[str, Any]
    inputs: dict[str, str]
    upstream: dict[str, str]
    run: str
    finished: str
    seconds: float | None = None


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a stage's folder, None when it has none. Raises UserError for one that is damaged."""
    path = folder / RECORD
    if not path.exists():
        return None
    record = read_json(path)
    as_record(StageRecord, record, f"{path}")
    return record


def missing_upstream_paths(plan: StagePlan) -> list[str]:
    """Complaints about files that options take from upstream stages' outputs and that are not there."""
    complaints = []
    for upstream, path in plan.upstream_paths:
        if not path.exists():
            there = sorted(item.name for item in path.parent.iterdir()) if path.parent.is_dir() else []
            hint = did_you_mean(path.name, there)
            complaints.append(f"{path} is not among the outputs of stage {upstream!r}.{hint}")
    return complaints


def _plan_stage(recipe: Recipe, name: str, fingerprints: Fingerprints) -> StagePlan:
    where, stage = recipe.where(name), recipe.stages[name]
    command = todays_command(stage.command)
    module = command_module(stage.command, where)
    fields = field_types(module.Config)
    for key in ("output_dir", "resume"):
        if key in recipe.stage_options(name, ()):
            raise UserError(f"{where}: {key} is set by the pipeline; take it out of the recipe.")
    options = recipe.stage_options(name, fields) | {"output_dir": "${%s}" % name}  # noqa: UP031
    symbolic = build_partial(module.Config, options, where, missing=None)
    config = build(module.Config, recipe.resolved_options(name, fields), where)
    outside, upstream_paths = _paths(symbolic, config, recipe, where)
    return StagePlan(
        name=name,
        command=command,
        config=config,
        needs=stage.needs,
        output_dir=recipe.output_dir(name),
        work_dir=recipe.run_dir / WORK / name,
        settings=settings_of(symbolic),
        defaults=settings_of(build_partial(module.Config, {}, where, missing=None)),
        inputs={str(path): fingerprints.of(path) for path in outside},
        version=getattr(module, "VERSION", 1),
        upstream_paths=upstream_paths,
        resumes_from=getattr(module, "RESUMES_FROM", StagePlan.resumes_from),
    )


def _paths(
    symbolic: object, resolved: object, recipe: Recipe, where: str
) -> tuple[list[Path], list[tuple[str, Path]]]:
    """Path options: those from outside the run (they must exist), and those in upstream stages' outputs.

    symbolic, resolved: the stage's options with `${stage}` in them, and with folders in its place.
    """
    outside: list[Path] = []
    upstream: list[tuple[str, Path]] = []
    for (key, written), (_, path) in zip(_values(symbolic, Path), _values(resolved, Path), strict=True):
        if key.split(".")[-1].startswith("output"):
            continue
        named = references(str(written))
        if named:
            upstream += [(named[0], path)] if named[0] != RUN else []
            continue
        for stage_name in recipe.stages:
            folder = recipe.output_dir(stage_name)
            if path.absolute().is_relative_to(folder.absolute()):
                inner = path.absolute().relative_to(folder.absolute())
                raise UserError(
                    f"{where}: {key} = {path} lies in the output of stage {stage_name!r}; "
                    f"write ${{{stage_name}}}/{inner}, so that the stages run in this order."
                )
        if not path.exists():
            raise UserError(f"{where}: {key} = {path} does not exist, and no stage makes it.")
        outside.append(path)
    # text that happens to name a file, such as weights that may also come from a hub
    outside += [Path(text) for _, text in _values(symbolic, str) if text and Path(text).is_file()]
    return outside, upstream


def _values(value: Any, kind: type[T], key: str = "") -> Iterator[tuple[str, T]]:
    """(dotted key, value) of everything of one type in a configuration."""
    if isinstance(value, kind):
        yield key, value
    elif dataclasses.is_dataclass(value):
        for name, item in options_of(value):
            yield from _values(item, kind, f"{key}.{name}" if key else name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _values(item, kind, key)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _values(item, kind, f"{key}.{name}")


def _reasons(plan: StagePlan, plans: dict[str, StagePlan], chosen: Collection[str]) -> list[str]:
    """Why the published output is not what the recipe asks for now; empty when it is."""
    if plan.record is None:
        if plan.output_dir.exists():
            return [f"{plan.output_dir} was not made by the pipeline"]
        return ["was cut off" if plan.work_dir.exists() else "never ran"]
    old = plan.record
    reasons = []
    command = todays_command(old["command"])
    if command != plan.command:
        reasons.append(f"command {command} -> {plan.command}")
    elif old["version"] != plan.version:
        reasons.append(f"version of {plan.command} {old['version']} -> {plan.version}")
    reasons += changed_settings(old["settings"], plan.settings, plan.defaults, type(plan.config))
    for path, digest in plan.inputs.items():
        if path not in old["inputs"]:
            reasons.append(f"input file {path} is new")
        elif old["inputs"][path] != digest:
            reasons.append(f"input file {path} changed")
    for need in plan.needs:
        upstream = plans[need]
        will_change = upstream.record is None or (need in chosen and upstream.reasons)
        if will_change or old["upstream"].get(need) != upstream.record["run"]:
            reasons.append(f"upstream {need} changed")
    return reasons
