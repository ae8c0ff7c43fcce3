"""A recipe: a YAML file that names the stages of a run, their commands and options."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from configs.errors import UserError, did_you_mean, shown
from configs.reading.content import parse_yaml, read_yaml

RUN = "run"  # `${run}` is the run folder itself and makes no dependency
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Stage:
    """One command of a recipe. Options stand as written, with `${stage}` in them."""

    command: str
    """module, run as `python -m COMMAND`"""
    options: dict[str, Any]
    needs: tuple[str, ...]
    """stages whose output folders the options name, and those named under `needs`"""


@dataclass(frozen=True)
class Recipe:
    """A recipe file. `stages` is in an order in which every stage comes after what it needs."""

    path: Path
    name: str
    run_dir: Path
    seed: int
    stages: dict[str, Stage]

    def stage(self, stage_name: str) -> Stage:
        """The stage of that name. Raises UserError with the names there are."""
        if stage_name not in self.stages:
            hint = did_you_mean(stage_name, self.stages)
            raise UserError(f"{self.path}: no stage {stage_name!r}.{hint} Stages: {', '.join(self.stages)}.")
        return self.stages[stage_name]

    def where(self, stage_name: str) -> str:
        """How errors name a stage of this recipe."""
        return f"{self.path}, stage {stage_name!r}"

    def output_dir(self, stage_name: str) -> Path:
        """Where the published output of a stage lies."""
        return self.run_dir / stage_name

    def stage_options(self, stage_name: str, fields: Container[str]) -> dict[str, Any]:
        """Options as written; the recipe's seed, if `fields` (of the command) has one, not set."""
        options = {name.replace("-", "_"): value for name, value in self.stages[stage_name].options.items()}
        if "seed" in fields:
            options.setdefault("seed", self.seed)
        return options

    def resolved_options(self, stage_name: str, fields: Container[str]) -> dict[str, Any]:
        """`stage_options` with `${stage}` and `${run}` replaced by folders, and `output_dir`."""
        folders = {name: str(self.output_dir(name)) for name in self.stages} | {RUN: str(self.run_dir)}
        options = substitute(self.stage_options(stage_name, fields), folders)
        if "output_dir" in fields:
            options.setdefault("output_dir", str(self.output_dir(stage_name)))
        return options


def load_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe. Raises UserError naming file, stage and key."""
    return recipe_from(read_yaml(path, "recipe"), Path(path))


def recipe_from(content: Any, path: Path) -> Recipe:
    """Check what a recipe file holds (already read). `path` is for errors only."""
    if isinstance(content, Mapping) and "models" in content and "stages" not in content:
        raise UserError(f"{path}: is the recipe of a study; run it with `python -m distill.study {path}`.")
    content = as_mapping(content, str(path), allowed=("name", "run_dir", "seed", "stages"))
    raw_stages = as_mapping(content.get("stages"), f"{path}, stages")
    if not raw_stages:
        raise UserError(f"{path}: no stages. A recipe has `stages:` with one entry a stage.")
    name = run_name(content, path)
    seed = content.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UserError(f"{path}: seed = {shown(seed)} is not a whole number.")
    stages = {stage_name: _stage(stage_name, raw, raw_stages, path) for stage_name, raw in raw_stages.items()}
    run_dir = Path(str(content.get("run_dir") or f"runs/{name}")).expanduser()
    return Recipe(path, name, run_dir, seed, _in_order(stages, path))


def with_overrides(recipe: Recipe, overrides: list[str], run_dir: Path | None = None) -> Recipe:
    """`recipe` with `STAGE.KEY=VALUE` settings (VALUE is YAML, KEY may be dotted) and another run folder."""
    content = to_plain(recipe)
    if run_dir is not None:
        content["run_dir"] = str(run_dir)
    for override in overrides:
        target, equals, word = override.partition("=")
        stage_name, dot, key = target.strip().partition(".")
        if target.strip() == "seed" and equals:
            content["seed"] = parse_yaml(word, f"--set {override}")
            continue
        if not (equals and dot and key):
            raise UserError(f"--set {override}: expected STAGE.KEY=VALUE, such as teacher.epochs=5.")
        recipe.stage(stage_name)
        options = content["stages"][stage_name]["options"]
        *parents, last = key.replace("-", "_").split(".")
        for parent in parents:
            options = options.setdefault(parent, {})
            if not isinstance(options, dict):
                raise UserError(f"--set {override}: {parent} is not a group of options.")
        options[last] = parse_yaml(word, f"--set {override}")
    return recipe_from(content, recipe.path)


def to_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain YAML content; `recipe_from` reads it back."""
    stages = {
        name: {
            "command": stage.command,
            "options": _copied({key.replace("-", "_"): value for key, value in stage.options.items()}),
            "needs": list(stage.needs),
        }
        for name, stage in recipe.stages.items()
    }
    return {"name": recipe.name, "run_dir": str(recipe.run_dir), "seed": recipe.seed, "stages": stages}


def references(value: Any) -> list[str]:
    """Names inside `${...}` anywhere in `value` (nested lists and mappings), in order, without repeats."""
    if isinstance(value, Mapping):
        found = [name for item in value.values() for name in references(item)]
    elif isinstance(value, list | tuple):
        found = [name for item in value for name in references(item)]
    else:
        found = _REFERENCE.findall(value) if isinstance(value, str) else []
    return list(dict.fromkeys(found))


def substitute(value: Any, folders: Mapping[str, str]) -> Any:
    """A copy of `value` with every `${name}` replaced by `folders[name]`."""
    if isinstance(value, Mapping):
        return {key: substitute(item, folders) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [substitute(item, folders) for item in value]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: folders[match[1]], value)
    return value


def as_mapping(content: Any, where: str, allowed: tuple[str, ...] | None = None) -> Mapping[str, Any]:
    """`content` (of YAML) as a mapping with text keys, only `allowed` ones; UserError naming `where`."""
    content = {} if content is None else content
    if not isinstance(content, Mapping):
        raise UserError(f"{where}: expected `key: value` lines, found {shown(content)}.")
    for key in content:
        if not isinstance(key, str):
            raise UserError(f"{where}: the key {shown(key)} is not text.")
        if allowed is not None and key not in allowed:
            raise UserError(
                f"{where}: unknown key {key!r}.{did_you_mean(key, allowed)} Keys are: {', '.join(allowed)}."
            )
    return content


def _stage(stage_name: Any, raw: Any, all_stages: Mapping, path: Path) -> Stage:
    where = f"{path}, stage {stage_name!r}"
    if not isinstance(stage_name, str) or not _NAME.fullmatch(stage_name) or stage_name in (RUN, "logs"):
        raise UserError(
            f"{where}: a stage name is small letters, digits and _, begins with a letter, "
            "and is neither run nor logs."
        )
    raw = as_mapping(raw, where, allowed=("command", "options", "needs"))
    command = raw.get("command")
    if not isinstance(command, str) or not all(part.isidentifier() for part in command.split(".")):
        raise UserError(f"{where}: command = {shown(command)} is not a module such as teacher.train.")
    options = dict(as_mapping(raw.get("options"), f"{where}, options"))
    named = raw.get("needs") or []
    if not isinstance(named, list):
        raise UserError(f"{where}: needs = {shown(named)} is not a list of stages.")
    for key, value in [*options.items(), ("needs", [f"${{{name}}}" for name in named])]:
        for name in references(value):
            if name not in all_stages and name != RUN:
                hint = did_you_mean(name, [*all_stages, RUN])
                raise UserError(f"{where}, {key}: no stage {name!r}.{hint} Stages: {', '.join(all_stages)}.")
    needs = dict.fromkeys([*references(options), *named])
    return Stage(command, options, tuple(name for name in needs if name != RUN))


def run_name(content: Mapping[str, Any], path: Path) -> str:
    """The name of a run, which is also its folder's below runs/ unless run_dir says another.

    The file's name where the recipe has none. Raises UserError for one that would lead elsewhere.
    """
    name = str(content.get("name") or path.stem)
    if name.startswith(".") or any(sign in name for sign in "/\\\0"):
        raise UserError(
            f"{path}: name = {shown(name)} is no name of a folder: without / and not beginning with a dot. "
            "Another place for the run is said with run_dir, or --run-dir."
        )
    return name


def _in_order(stages: dict[str, Stage], path: Path) -> dict[str, Stage]:
    try:
        order = list(TopologicalSorter({name: stage.needs for name, stage in stages.items()}).static_order())
    except CycleError as error:
        raise UserError(
            f"{path}: the stages need each other in a circle: {' -> '.join(error.args[1])}."
        ) from None
    ready: dict[str, Stage] = {}
    waiting = list(stages)  # keep the order of the file as far as the needs allow
    while waiting:
        name = next(name for name in waiting if all(need in ready for need in stages[name].needs))
        ready[name] = stages[name]
        waiting.remove(name)
    assert len(order) == len(ready)
    return ready


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value
