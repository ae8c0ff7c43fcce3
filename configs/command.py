"""The face of every command: flags and recipe in, `result: PATH` or `error: ...` out.

A command module ends in

    if __name__ == "__main__":
        run_command(Config, main)

where `Config` is a dataclass and `main(config)` returns where the result lies.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from configs.build import build_partial, field_types
from configs.errors import UserError, did_you_mean

T = TypeVar("T")
PARENT_VARIABLE = "PINNA_PIPELINE_PID"  # set by `distill.run`: its stages end with it
_RECIPE_FLAGS = ("recipe", "stage")


def run_command(
    config_class: type[T],
    main: Callable[[T], Path | str | None],
    module: str | None = None,
    argv: Sequence[str] | None = None,
) -> Path | str | None:
    """Read flags (and `--recipe R.yaml [--stage NAME]`) into `config_class`, call `main`, print its result.

    module: dotted name, by default that of `python -m MODULE`; argv: flags, by default the command line's.
    Returns what `main` returned. A UserError ends the process with 2 and one line on stderr, Ctrl-C with 130.
    """
    module = module or _main_module()
    argv = list(sys.argv[1:] if argv is None else argv)
    _end_with_the_pipeline()
    config = None
    try:
        config = parse_config(config_class, argv, module)
        result = main(config)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"\ninterrupted: {_how_to_go_on(config, module)}", file=sys.stderr)
        sys.exit(130)
    if result is not None and os.environ.get("LOCAL_RANK", "0") == "0":  # under DDP one process speaks
        print(f"result: {result}", flush=True)
    return result


def parse_config(config_class: type[T], argv: Sequence[str], module: str) -> T:
    """The configuration from flags over the recipe's stage over the defaults.

    Raises UserError for a misspelt flag or key; tyro prints and exits for a missing or malformed value.
    """
    import tyro

    assert not set(_RECIPE_FLAGS) & set(field_types(config_class)), (
        "--recipe and --stage belong to run_command"
    )
    recipe_parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    recipe_parser.add_argument("--recipe", type=Path)
    recipe_parser.add_argument("--stage")
    chosen, flags = recipe_parser.parse_known_args(list(argv))
    _refuse_unknown_flags(config_class, flags, module)
    if chosen.stage is not None and chosen.recipe is None:
        raise UserError("--stage names a stage of a recipe: give --recipe R.yaml too.")
    options, where = {}, module
    if chosen.recipe is not None:
        options, where = _stage_options(config_class, chosen.recipe, chosen.stage, module)
    return tyro.cli(
        config_class,
        args=flags,
        default=build_partial(config_class, options, where, missing=tyro.MISSING),
        prog=f"python -m {module}",
        description=_description(config_class),
        registry=_registry(),
    )


def to_flags(config: Any) -> list[str]:
    """The flags that give `config` (a dataclass instance, or a nested one) its values, one flag a field."""
    return _flags_of(config, prefix="")


def _flags_of(config: Any, prefix: str) -> list[str]:
    flags: list[str] = []
    for name, wanted in field_types(type(config)).items():
        value = getattr(config, name)
        flag = f"--{prefix}{name}".replace("_", "-")
        if dataclasses.is_dataclass(value):
            flags += _flags_of(value, prefix=f"{prefix}{name}.")
        elif _takes_dict(wanted):
            flags += [flag, json.dumps(value)]
        elif wanted is bool:
            flags.append(flag if value else f"--{prefix}no-{name}".replace("_", "-"))
        elif isinstance(value, list | tuple):
            flags += [flag, *(str(item) for item in value)]
        else:
            flags += [flag, str(value)]
    return flags


def _stage_options(
    config_class: type, recipe_path: Path, stage_name: str | None, module: str
) -> tuple[dict[str, Any], str]:
    from configs.recipe import load_recipe

    recipe = load_recipe(recipe_path)
    stage_name = stage_name or _only_stage_of(recipe, module)
    if stage_name not in recipe.stages:
        hint = did_you_mean(stage_name, recipe.stages)
        raise UserError(
            f"{recipe_path}: no stage {stage_name!r}.{hint} Stages are: {', '.join(recipe.stages)}."
        )
    if recipe.stages[stage_name].command != module:
        raise UserError(
            f"{recipe_path}: stage {stage_name!r} is for {recipe.stages[stage_name].command}, not {module}."
        )
    return recipe.resolved_options(stage_name, field_types(config_class)), recipe.where(stage_name)


def _only_stage_of(recipe: Any, module: str) -> str:
    names = [name for name, stage in recipe.stages.items() if stage.command == module]
    if len(names) != 1:
        found = (
            f"has {len(names)} stages of {module}: {', '.join(names)}"
            if names
            else f"has no stage of {module}"
        )
        raise UserError(f"{recipe.path} {found}. Choose one with --stage NAME.")
    return names[0]


def _refuse_unknown_flags(config_class: type, flags: Sequence[str], module: str) -> None:
    """tyro's own complaint about a misspelt flag hides behind those about missing ones."""
    known = {"help", *_RECIPE_FLAGS, *_flag_names(config_class)}
    for flag in flags:
        name = flag.removeprefix("--").split("=")[0].replace("_", "-")
        if flag.startswith("--") and name and name not in known:
            hint = did_you_mean(name, [f"--{allowed}" for allowed in known])
            raise UserError(f"unknown flag --{name}.{hint} `python -m {module} --help` lists them all.")


def _flag_names(config_class: type, prefix: str = "") -> set[str]:
    names: set[str] = set()
    for name, wanted in field_types(config_class).items():
        nested = [part for part in (wanted, *typing.get_args(wanted)) if dataclasses.is_dataclass(part)]
        for part in nested:
            names |= _flag_names(part, prefix=f"{prefix}{name}.")
        if not nested:
            names |= {f"{prefix}{name}", *([f"{prefix}no-{name}"] if wanted is bool else [])}
    return {name.replace("_", "-") for name in names}


def _registry() -> Any:
    """tyro, taught to read a dict as one JSON (or YAML) argument: `--backbone-options '{"depth": 4}'`."""
    import tyro

    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def dict_rule(info: Any) -> Any:
        if not _takes_dict(info.type):
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="'{KEY: VALUE}'",
            instance_from_str=lambda words: _read_dict(words[0], info.type),
            is_instance=lambda value: value is None or isinstance(value, dict),
            str_from_instance=lambda value: [json.dumps(value)],
        )

    return registry


def _takes_dict(wanted: Any) -> bool:
    parts = (wanted, *typing.get_args(wanted)) if typing.get_origin(wanted) is not dict else (wanted,)
    return any(part is dict or typing.get_origin(part) is dict for part in parts)


def _read_dict(word: str, wanted: Any) -> Any:
    import yaml

    from configs.build import coerce

    return coerce(yaml.safe_load(word), wanted, "the command line", "the mapping")


def _description(config_class: type) -> str:
    text = sys.modules[config_class.__module__].__doc__ or ""
    return (
        f"{text.strip()}\n\n"
        "--recipe R.yaml [--stage NAME] takes the options of that stage as defaults; flags go over them."
    )


def _main_module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        return Path(sys.argv[0]).stem
    return spec.name.removesuffix(".__main__")


def _how_to_go_on(config: Any, module: str) -> str:
    if hasattr(config, "resume"):
        return "add `--resume auto` to the same command to go on from the last checkpoint."
    return f"run `python -m {module}` with the same flags to start again."


def _end_with_the_pipeline() -> None:
    """A stage must not outlive its pipeline: nothing would keep a second one out of its folder.

    Linux only.
    """
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None or sys.platform != "linux":
        return
    import ctypes
    import signal

    set_parent_death_signal = 1  # PR_SET_PDEATHSIG, linux/prctl.h
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != int(parent) and os.environ.get("LOCAL_RANK", "0") == "0":  # it died before we asked
        sys.exit(1)
