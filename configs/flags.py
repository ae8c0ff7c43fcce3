"""The flags of a Config: which there are, what is said of unknown ones, and a Config back into its flags."""

from __future__ import annotations

import dataclasses
import json
import os
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from configs.build import build_partial, field_types, takes_dict, values_of
from configs.errors import UserError, did_you_mean
from configs.groups import became, gone_options, groups_of

_MISSING = object()


def to_flags(config: Any) -> list[str]:
    """The flags that give `config` (a dataclass instance) its values.

    Those equal to the default are left out, but for `output_dir`: one wants to see where things go.
    """
    default = values_of(build_partial(type(config), {}, "defaults", missing=_MISSING))
    types, flags = field_types(type(config)), []
    for name, value in values_of(config).items():
        if name != "output_dir" and value == default[name] and type(value) is type(default[name]):
            continue
        if is_positional(type(config), name):  # before the flags: one that takes a list would swallow it
            flags = [*(str(item) for item in (value if isinstance(value, list | tuple) else [value])), *flags]
        else:
            flags += _flag(value, types[name], shown_name(type(config), name))
    return flags


def _flag(value: Any, wanted: Any, name: str) -> list[str]:
    flag = f"--{name}".replace("_", "-")
    if wanted is bool:
        return [flag if value else f"--no-{name}".replace("_", "-")]
    if dataclasses.is_dataclass(value):
        return [flag, json.dumps(changed_values(value))]
    if takes_dict(wanted):
        return [flag, json.dumps(value, default=str)]  # paths as text
    if isinstance(value, list | tuple):
        return [flag, *(str(item) for item in value)]
    if isinstance(value, str | Path) and str(value).startswith("-"):
        return [f"{flag}={value}"]  # else it would read as a flag
    return [flag, str(value)]


def changed_values(value: Any) -> dict[str, Any]:
    """What a dataclass of defaults differs from them in: the mapping that gives it in a recipe."""
    default = type(value)()
    return {
        field.name: getattr(value, field.name)
        for field in dataclasses.fields(value)
        if getattr(value, field.name) != getattr(default, field.name)
    }


def refuse_unknown_flags(config_class: type, words: Sequence[str], module: str) -> None:
    """Raise UserError for a misspelt flag: tyro's own complaint hides behind those about missing ones."""
    types = flag_types(config_class)
    known = {"--help", "--recipe", "--stage", *types}
    gone = {_plain(f"--{name}"): (name, fate) for name, fate in gone_options(config_class).items()}
    for word in words:
        if word[:1] == "-" and word[:2] != "--" and os.path.exists(word):
            raise UserError(f"{word} is a file here but reads like a flag: give it as ./{word}")
        flag = _plain(word)
        if not flag.startswith("--") or len(flag) == 2 or flag in known:
            continue
        if flag in gone:
            raise UserError(f"unknown flag {flag}: {became(*gone[flag])}")
        whole, _, part = flag.partition(".")
        if whole in gone:
            raise UserError(f"unknown flag {flag}: {became(*gone[whole])}")
        if part and dataclasses.is_dataclass(types.get(whole)):
            raise UserError(f"unknown flag {flag}: {whole} takes one mapping, {whole} '{{{part}: ...}}'.")
        hint = did_you_mean(flag, known)
        raise UserError(f"unknown flag {flag}.{hint} `python -m {module} --help` lists them all.")


def join_repeats(config_class: type, words: Sequence[str]) -> list[str]:
    """`--set a --set b` as `--set a b`: of a repeated flag tyro keeps the last and drops the others."""
    types = flag_types(config_class)
    groups: list[list[str]] = [[]]
    for word in words:
        if not word.startswith("--"):
            groups[-1].append(word)
        elif _takes_many(types.get(_plain(word))):
            earlier = [group for group in groups if group and group[0] == _plain(word)]
            group = earlier[0] if earlier else [_plain(word)]
            group += [word.partition("=")[2]] if "=" in word else []
            groups = [*(other for other in groups if other is not group), group]
        else:
            groups.append([word])
    return [word for group in groups for word in group]


def mapping_words(config_class: type, words: Sequence[str]) -> Iterator[tuple[str, Any, str]]:
    """(flag, type of its field, word) of each mapping: a dict, or a dataclass that is one value."""
    types = flag_types(config_class)
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        wanted = types.get(_plain(flag)) if flag.startswith("--") else None
        if wanted is not None and (takes_dict(wanted) or dataclasses.is_dataclass(wanted)):
            yield _plain(flag), wanted, value if equals else next(iter(words[index + 1 : index + 2]), "")


def flag_types(config_class: type) -> dict[str, Any]:
    """{flag: type of its field} of a Config and its groups; `--no-...` of a bool as well."""
    found: dict[str, Any] = {}
    for name, wanted in field_types(config_class).items():
        name = shown_name(config_class, name)
        found[_plain(f"--{name}")] = wanted
        if wanted is bool:
            found[_plain(f"--no-{name}")] = wanted
    return found


def shown_name(config_class: type, name: str) -> str:
    """The name a field has as a flag: its own, or that of `Annotated[..., tyro.conf.arg(name=...)]`."""
    return next((mark.name for mark in _marks(config_class, name) if getattr(mark, "name", None)), name)


def is_positional(config_class: type, name: str) -> bool:
    """Whether a field (or its flag) is `tyro.conf.Positional`: given by its place, without a flag."""
    import tyro

    positional = tyro.conf.Positional[int].__metadata__[0]
    name = name.removeprefix("--").replace("-", "_")
    return any(mark is positional for mark in _marks(config_class, name))


def _marks(config_class: type, name: str) -> tuple:
    hints = typing.get_type_hints(config_class, include_extras=True)
    if name in hints:
        return getattr(hints[name], "__metadata__", ())
    return next(
        (_marks(kind, name) for kind in groups_of(config_class).values() if name in field_types(kind)), ()
    )


def _plain(word: str) -> str:
    """The flag of a word, its value cut off, underscores as hyphens."""
    return word.partition("=")[0].replace("_", "-") if word.startswith("--") else word


def _takes_many(wanted: Any) -> bool:
    origin = typing.get_origin(wanted) or wanted
    return origin is list or (origin is tuple and typing.get_args(wanted)[-1:] in ((), (...,)))
