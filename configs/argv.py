"""The words of a command line, looked at before tyro reads them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

from configs.build import field_types
from configs.errors import UserError, did_you_mean


def refuse_unknown_flags(config_class: type, words: Sequence[str], module: str) -> None:
    """Raise UserError for a misspelt flag: tyro's own complaint hides behind those about missing ones."""
    known = {"--help", "--recipe", "--stage", *flag_types(config_class)}
    for word in words:
        flag = _plain(word)
        if flag.startswith("--") and len(flag) > 2 and flag not in known:
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


def flag_types(config_class: type, prefix: str = "") -> dict[str, Any]:
    """{flag: type of its field} of a dataclass and the dataclasses in it; `--no-...` of a bool as well."""
    found: dict[str, Any] = {}
    for name, wanted in field_types(config_class).items():
        name = shown_name(config_class, name)
        if dataclasses.is_dataclass(wanted):
            found |= flag_types(wanted, prefix=f"{prefix}{name}.")
            continue
        found[_plain(f"--{prefix}{name}")] = wanted
        if wanted is bool:
            found[_plain(f"--{prefix}no-{name}")] = wanted
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
    return getattr(hints.get(name), "__metadata__", ())


def _plain(word: str) -> str:
    """The flag of a word, its value cut off, underscores as hyphens."""
    return word.partition("=")[0].replace("_", "-") if word.startswith("--") else word


def _takes_many(wanted: Any) -> bool:
    origin = typing.get_origin(wanted) or wanted
    return origin is list or (origin is tuple and typing.get_args(wanted)[-1:] in ((), (...,)))
