"""The face of every command: flags and recipe in, `result: PATH` or `error: ...` out.

A command module ends in

    if __name__ == "__main__":
        run_command(Config, main)

where `Config` is a dataclass and `main(config)` returns where the result lies.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any, TypeVar

from configs.build import build, build_partial, field_types, takes_dict
from configs.errors import UserError, shown
from configs.files import write_error, writing_below
from configs.flags import changed_values, join_repeats, mapping_words, refuse_unknown_flags
from configs.groups import say_once
from configs.processes.lifetime import end_with_pipeline
from configs.reading.coercion import coerce
from configs.reading.content import parse_yaml
from configs.recipe import load_recipe

T = TypeVar("T")


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
    module = module or command_name(config_class)
    end_with_pipeline()
    config = None
    try:
        config = parse_config(config_class, sys.argv[1:] if argv is None else argv, module)
        output_dir = getattr(config, "output_dir", None)
        with contextlib.nullcontext() if output_dir is None else writing_below(Path(output_dir)):
            result = main(config)
    except UserError as error:
        print(f"error: {_said_in_worker(str(error))}", file=sys.stderr)
        sys.exit(2)
    except (OSError, RuntimeError) as error:
        said = _in_words(error, config)
        if said is None:
            raise
        print(f"error: {said}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning turns Ctrl-C into sys.exit(1) while it handles the KeyboardInterrupt
        if not any(isinstance(cause, KeyboardInterrupt) for cause in _chain(stop)):
            raise
        print(f"\ninterrupted: {_how_to_go_on(config, module)}", file=sys.stderr)
        sys.exit(130)
    if result is not None and _speaks_for_all():
        print(f"result: {result}", flush=True)
    return result


def parse_config(config_class: type[T], argv: Sequence[str], module: str) -> T:
    """The configuration from flags over the recipe's stage over the defaults.

    A class with a field `recipe` of its own (`distill.run`) takes no `--recipe` and `--stage` from here. One
    whose command had other names before has them in `FORMERLY`: an old recipe may still use them. Raises
    UserError for a misspelt flag or key, and what the class itself raises; tyro prints and exits for a
    missing or malformed value.
    """
    import tyro

    options, where, flags = {}, module, list(argv)
    takes_recipe = "recipe" not in field_types(config_class)
    if takes_recipe:
        recipe_parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        recipe_parser.add_argument("--recipe", type=Path)
        recipe_parser.add_argument("--stage")
        chosen, flags = recipe_parser.parse_known_args(flags)
        if chosen.stage is not None and chosen.recipe is None:
            raise UserError("--stage names a stage of a recipe: give --recipe R.yaml too.")
        if chosen.recipe is not None:
            names = (module, *getattr(config_class, "FORMERLY", ()))
            options, where = _stage_options(config_class, chosen.recipe, chosen.stage, names)
    refuse_unknown_flags(config_class, flags, module)
    words = join_repeats(config_class, flags)
    for flag, wanted, word in mapping_words(config_class, words):
        _read_mapping(word, wanted, flag)  # tyro would turn an error into a text of its own
    with _user_errors_through_tyro():
        return tyro.cli(
            config_class,
            args=words,
            default=build_partial(config_class, options, where, missing=tyro.MISSING),
            prog=f"python -m {module}",
            description=_description(config_class, takes_recipe),
            registry=_registry(config_class),
        )


def _stage_options(
    config_class: type, recipe_path: Path, stage_name: str | None, names: Sequence[str]
) -> tuple[dict[str, Any], str]:
    """A stage's options, and where they stand. names: of the command, today's first."""
    recipe = load_recipe(recipe_path)
    stage_name = stage_name or _only_stage_of(recipe, names)
    command, where = recipe.stage(stage_name).command, recipe.where(stage_name)
    if command not in names:
        raise UserError(f"{where} is for {command}, not {names[0]}.")
    if command != names[0]:
        say_once(f"note: {command} is called {names[0]} now.", where)
    return recipe.resolved_options(stage_name, field_types(config_class)), where


def _only_stage_of(recipe: Any, commands: Sequence[str]) -> str:
    names, module = [name for name, stage in recipe.stages.items() if stage.command in commands], commands[0]
    if not names:
        there = ", ".join(sorted({stage.command for stage in recipe.stages.values()}))
        raise UserError(f"{recipe.path} has no stage of {module}, only of {there}.")
    if len(names) > 1:
        raise UserError(
            f"{recipe.path} has {len(names)} stages of {module}: {', '.join(names)}. Choose with --stage."
        )
    return names[0]


def _registry(config_class: type) -> Any:
    """tyro, taught to read a mapping as one YAML (or JSON) argument: `--backbone-options '{depth: 4}'`.

    A mapping is a dict, or a dataclass that is no group (`configs.groups`). What is wrong with one is also
    put into `refused`, since tyro turns every ValueError into a text of its own.
    """
    import tyro

    registry = tyro.constructors.ConstructorRegistry()
    whole = [kind for kind in field_types(config_class).values() if dataclasses.is_dataclass(kind)]

    @registry.primitive_rule
    def mapping_rule(info: Any) -> Any:
        if not (takes_dict(info.type) or info.type in whole):
            return None
        allowed = info.type if info.type in whole else dict | None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar=_keys(info.type) if info.type in whole else "{KEY: VALUE}",
            instance_from_str=lambda words: _read_mapping(words[0], info.type, "flags"),
            is_instance=lambda value: isinstance(value, allowed),
            str_from_instance=lambda value: [_shown_mapping(value)],
        )

    return registry


def _shown_mapping(value: Any) -> str:
    import yaml

    content = changed_values(value) if dataclasses.is_dataclass(value) else value
    content = json.loads(json.dumps(content, default=str))  # paths as text
    return yaml.safe_dump(content, default_flow_style=True).strip(" .\n")


def _keys(kind: type) -> str:
    """The keys of a mapping with their defaults, for --help."""
    shown = ((field.name, field.default) for field in dataclasses.fields(kind))
    listed = (f"{name}: {list(value) if isinstance(value, tuple) else value}" for name, value in shown)
    return "{" + ", ".join(listed) + "}"


def _read_mapping(word: str, wanted: Any, flag: str) -> Any:
    """A mapping as JSON, as `to_flags` writes it, or as YAML, in which 1e-5 would be text."""
    with contextlib.suppress(json.JSONDecodeError):
        return coerce(json.loads(word), wanted, "flags", flag, build)
    value = parse_yaml(word, f"{flag} {shown(word)}, wanted is '{{depth: 4}}'")
    return coerce(value, wanted, "flags", flag, build)


@contextlib.contextmanager
def _user_errors_through_tyro() -> Iterator[None]:
    """tyro frames every ValueError of the class and exits; a UserError has its own way to be shown."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit as stop:
        for cause in _chain(stop):
            if isinstance(cause, UserError):
                raise cause from None
        sys.stderr.write(said.getvalue())
        raise


def _said_in_worker(text: str) -> str:
    """The sentence alone, of an error that a loader's worker passed on inside its traceback."""
    match = re.match(r"Caught \w+ in .*?^(?:\w+\.)*(?:UserError|WriteError): (.*)\Z", text, re.S | re.M)
    return match[1].strip() if match else text


def _in_words(error: OSError | RuntimeError, config: Any) -> str | None:
    """What no code nearer to it has put into words: a disk that is full, a worker that the system ended."""
    if isinstance(error, BrokenExecutor) or str(error).startswith("DataLoader worker (pid"):
        return (
            f"a worker process was ended from outside, perhaps because memory ran out ({error}). "
            "Run the command again, with fewer --num-workers if that helps."
        )
    if isinstance(error, PermissionError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    where = getattr(error, "filename", None) or getattr(config, "output_dir", None) or Path.cwd()
    refused = write_error(error, Path(where))
    return None if refused is None else str(refused)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what was being handled when it was raised, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__context__


def _speaks_for_all() -> bool:
    """Whether this is the first of several processes, as torchrun, SLURM or Lightning count them."""
    ranks = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((rank for rank in ranks if rank is not None), "0") == "0"


def _description(config_class: type, takes_recipe: bool) -> str:
    text = (sys.modules[config_class.__module__].__doc__ or "").strip()
    if not takes_recipe:
        return text
    return (
        f"{text}\n\n"
        "--recipe R.yaml [--stage NAME] takes that stage's options as defaults; flags go over them."
    )


def command_name(config_class: type) -> str:
    """The dotted name after `python -m` of the command that a Config class belongs to."""
    module = config_class.__module__
    return _main_module() if module == "__main__" else module.removesuffix(".__main__")


def _main_module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec is not None else Path(sys.argv[0]).stem


def _how_to_go_on(config: Any, module: str) -> str:
    if config is not None and "resume" in field_types(type(config)):
        return "add `--resume auto` to the same command to go on from the last checkpoint."
    return f"run `python -m {module}` with the same flags to start again."
