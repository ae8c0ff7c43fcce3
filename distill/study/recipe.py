"""A study's recipe: a YAML file with arms, label budgets and seeds, instead of one run's stages.

    name: study
    run_dir: runs/study
    seeds: [0, 1, 2]
    shared:                       # ordinary stages, run once
      data: {command: data.render, options: {...}}
    prepared:                     # templates, run once for each budget and seed that an arm needs them for
      maps: {command: distill.cache, options: {checkpoint: "${ear_detector.vae}/best.ckpt", ...}}
    models:
      landmarker:
        budgets: [25, 50, all]
        arms:
          twin: {command: distill.train, options: {...}}
          both: {command: distill.train, options: {..., maps: "${maps}"}}
        compare: [[both, twin]]   # does the first beat the second?
    test: {ears_npy: "${data}/test_labelled.npy", frames_npy: "${data}/test_frames.npy"}

`labels` and `seed` are the study's: it sets them for each cell. `${NAME}` is a shared stage, a prepared one
of the same budget and seed, or MODEL.ARM of the same budget and seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.build import field_types
from configs.errors import UserError, did_you_mean, shown
from configs.reading.content import read_yaml
from configs.recipe import RUN, as_mapping, references, run_name
from distill.pipeline.commands import command_module

ALL = "all"
# what a model is tested on, by its key under `test`
TESTED_ON = {"landmarker": "ears_npy", "ear_detector": "ears_npy", "detector": "frames_npy"}
SET_BY_THE_STUDY = ("labels", "seed")


@dataclass(frozen=True)
class Template:
    """A stage of which `labels`, `seed` and references are filled in for each cell."""

    command: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Model:
    """What is trained: its budgets (0: all labels), its arms, and which arm is compared with which."""

    budgets: tuple[int, ...]
    arms: dict[str, Template]
    compare: tuple[tuple[str, str], ...]
    """(arm, baseline)"""


@dataclass(frozen=True)
class Study:
    """A study's recipe, checked. Options stand as written."""

    path: Path
    name: str
    run_dir: Path
    seeds: tuple[int, ...]
    shared: dict[str, Template]
    prepared: dict[str, Template]
    models: dict[str, Model]
    test: dict[str, str]


def load_study(path: str | Path, run_dir: Path | None = None) -> Study:
    """Read and check a study's recipe. Raises UserError naming file, place and key."""
    return study_from(read_yaml(path, "recipe"), Path(path), run_dir)


def study_from(content: Any, path: Path, run_dir: Path | None = None) -> Study:
    """Check what a recipe file holds (already read). run_dir: instead of the recipe's."""
    keys = ("name", "run_dir", "seeds", "shared", "prepared", "models", "test")
    content = as_mapping(content, str(path), allowed=keys)
    name = run_name(content, path)
    raw_models = as_mapping(content.get("models"), f"{path}, models", allowed=tuple(TESTED_ON))
    if not raw_models:
        raise UserError(f"{path}: no models. Name some of {', '.join(TESTED_ON)} under `models:`.")
    study = Study(
        path=path,
        name=name,
        run_dir=run_dir or Path(str(content.get("run_dir") or f"runs/{name}")).expanduser(),
        seeds=_whole_numbers(content.get("seeds"), f"{path}, seeds", least=0),
        shared=_templates(content.get("shared"), f"{path}, shared"),
        prepared=_templates(content.get("prepared"), f"{path}, prepared"),
        models={key: _model(raw, f"{path}, models.{key}") for key, raw in raw_models.items()},
        test=dict(as_mapping(content.get("test"), f"{path}, test", allowed=("ears_npy", "frames_npy"))),
    )
    for model in study.models:
        if TESTED_ON[model] not in study.test:
            raise UserError(f"{path}, test: {TESTED_ON[model]} is missing; the {model} is tested on it.")
    _check_names(study)
    _check_references(study)
    return study


def budget_word(budget: int) -> str:
    """25 -> `25`, 0 -> `all`."""
    return str(budget) if budget else ALL


def _templates(raw: Any, where: str) -> dict[str, Template]:
    return {name: _template(template, f"{where}.{name}") for name, template in as_mapping(raw, where).items()}


def _template(raw: Any, where: str) -> Template:
    raw = as_mapping(raw, where, allowed=("command", "options"))
    if not isinstance(raw.get("command"), str):
        raise UserError(
            f"{where}: command = {shown(raw.get('command'))} is not a module such as distill.train."
        )
    return Template(raw["command"], dict(as_mapping(raw.get("options"), f"{where}, options")))


def _model(raw: Any, where: str) -> Model:
    raw = as_mapping(raw, where, allowed=("budgets", "arms", "compare"))
    arms = _templates(raw.get("arms"), f"{where}.arms")
    if not arms:
        raise UserError(f"{where}: no arms.")
    for arm, template in arms.items():
        _check_set_fields(template, f"{where}.arms.{arm}")
    compare = raw.get("compare") or []
    if not isinstance(compare, list):
        raise UserError(f"{where}.compare = {shown(compare)} is not a list of pairs such as [[both, twin]].")
    for pair in compare:
        if not isinstance(pair, list) or len(pair) != 2 or pair[0] == pair[1]:
            raise UserError(f"{where}.compare: {shown(pair)} is not a pair of arms such as [both, twin].")
        for arm in pair:
            if arm not in arms:
                raise UserError(
                    f"{where}.compare: no arm {arm!r}.{did_you_mean(str(arm), arms)} Arms: {', '.join(arms)}."
                )
    return Model(
        _budgets(raw.get("budgets"), f"{where}.budgets"),
        arms,
        tuple((arm, baseline) for arm, baseline in compare),
    )


def _budgets(raw: Any, where: str) -> tuple[int, ...]:
    """Numbers of labels, rising, and 0 for `all` at the end."""
    numbers = [word for word in raw if word != ALL] if isinstance(raw, list) else raw
    for word in numbers if isinstance(numbers, list) else ():
        if isinstance(word, str):
            hint = did_you_mean(word, [ALL])
            raise UserError(f"{where}: {word!r} is neither a number of labels nor all.{hint}")
    if raw == [ALL]:
        return (0,)
    budgets = sorted(_whole_numbers(numbers, where, least=1))
    return (*budgets, 0) if ALL in raw else tuple(budgets)


def _check_set_fields(template: Template, where: str) -> None:
    fields = field_types(command_module(template.command, where).Config)
    for name in SET_BY_THE_STUDY:
        if name not in fields:
            raise UserError(f"{where}: {template.command} has no option {name!r}, so it cannot be an arm.")


def _check_names(study: Study) -> None:
    for name in study.prepared:
        if name in study.shared:
            raise UserError(f"{study.path}: {name!r} stands under shared and under prepared.")
    for name in (*study.shared, *study.prepared):
        if name in study.models or name == RUN:
            raise UserError(f"{study.path}: a stage may not be called {name!r}, which means something else.")


def _check_references(study: Study) -> None:
    arms = [f"{model}.{arm}" for model, content in study.models.items() for arm in content.arms]
    shared, every = [*study.shared, RUN], [*study.shared, *study.prepared, *arms, RUN]
    places: list[tuple[str, Any, list[str]]] = [
        (f"shared.{name}", template.options, shared) for name, template in study.shared.items()
    ]
    places += [(f"prepared.{name}", template.options, every) for name, template in study.prepared.items()]
    for model, content in study.models.items():
        places += [
            (f"models.{model}.arms.{arm}", template.options, every) for arm, template in content.arms.items()
        ]
    places.append(("test", study.test, shared))
    for place, options, allowed in places:
        for name in references(options):
            if name not in allowed:
                known = f"{did_you_mean(name, allowed)} There are: {', '.join(allowed)}."
                raise UserError(f"{study.path}, {place}: ${{{name}}} is nothing that it may use.{known}")
        for key in SET_BY_THE_STUDY if place.split(".")[0] in ("prepared", "models") else ():
            if isinstance(options, Mapping) and key in options:
                raise UserError(f"{study.path}, {place}: {key} is set by the study; take it out.")


def _whole_numbers(raw: Any, where: str, least: int) -> tuple[int, ...]:
    """A list of different whole numbers, not empty."""
    if not isinstance(raw, list) or not raw:
        raise UserError(f"{where} = {shown(raw)} is not a list such as [0, 1, 2].")
    for number in raw:
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise UserError(f"{where}: {shown(number)} is not a whole number from {least} on.")
    if len(set(raw)) < len(raw):
        raise UserError(f"{where} = {shown(raw)} names one twice.")
    return tuple(raw)
