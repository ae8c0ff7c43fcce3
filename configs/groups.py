"""How a command's `Config` is put together: groups of options, and options that are gone.

    @dataclass(frozen=True)
    class Config:
        train_npy: Path
        optimizer: Flat[OptimizerOptions] = OptimizerOptions()  # --lr, --warmup-steps
        geometry: GeometryConfig = GeometryConfig()             # --geometry '{flip: 0}'

        GONE: ClassVar[Mapping[str, Gone]] = {"gate_npy": Renamed("acceptance_npy")}

A group (`Flat`) is a small frozen dataclass that lies beside what it configures. Its flags and recipe keys
stand beside the Config's own, under a heading of `--help`; helpers get the group, never the Config. Any other
dataclass in a Config is one value, written as one mapping.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import tyro

from configs.errors import UserError, shown

T = TypeVar("T")
Flat = tyro.conf.OmitArgPrefixes
_FLAT = Flat[int].__metadata__[0]
_SAID: set[str] = set()  # by `say_once`


@dataclass(frozen=True)
class Renamed:
    """The option has another name now; `stages.teacher` is the key `teacher` of the mapping `stages`.

    joins: its values are put behind those of the other, which takes a list.
    """

    to: str
    joins: bool = False


@dataclass(frozen=True)
class Fixed:
    """The option is a constant now: a recipe that sets it to `value` says nothing new, another is refused.

    A Path as value stands for every path that ends in it, a dataclass for the mapping that gives it.
    """

    value: Any
    why: str


@dataclass(frozen=True)
class Removed:
    """There is nothing in its place: refused, unless it says what was the default. instead: what to do, as a
    sentence; was: the default that it had.
    """

    instead: str
    was: Any = None


@dataclass(frozen=True)
class Ignored:
    """It changes no result any more; a recipe that sets it goes on without it. why: as a sentence."""

    why: str


Gone = Renamed | Fixed | Removed | Ignored


@functools.cache  # a study asks for the same few classes tens of thousands of times
def groups_of(cls: type) -> dict[str, type]:
    """{field: type} of the groups of a Config class, in order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [item.name for item in dataclasses.fields(cls) if item.init]
    return {
        name: typing.get_args(hints[name])[0]
        for name in names
        if any(mark is _FLAT for mark in getattr(hints[name], "__metadata__", ()))
    }


def options_of(config: Any) -> Iterator[tuple[str, Any]]:
    """(name, value) of every option of a Config or group, those of its groups in their place."""
    groups = groups_of(type(config))
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if item.name in groups:
            yield from options_of(value)
        else:
            yield item.name, value


def gone_options(cls: type) -> dict[str, Gone]:
    """{name: what became of it} of a Config and its groups."""
    found: dict[str, Gone] = {}
    for group in groups_of(cls).values():
        found |= gone_options(group)
    return found | dict(getattr(cls, "GONE", {}))


def without_gone(cls: type, mapping: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`mapping` (a recipe's options, hyphens as underscores) with options that are gone brought to today's,
    each said once on stderr. One that is null or empty, the default that it had, counts as not given.

    Raises UserError for one that cannot be: it was removed, or set to another value than it has for good now.
    """
    options = _with_underscores(mapping, where)
    gone = gone_options(cls)
    kept = {name: value for name, value in options.items() if name not in gone}
    for name in [name for name in options if name in gone]:
        fate, value = gone[name], options[name]
        if is_unset(value):
            continue
        if not still_holds(value, fate):
            raise UserError(f"{where}: {name} = {shown(value)}: {became(name, fate)}")
        say_once(f"note: {became(name, fate)}", where)
        if isinstance(fate, Renamed):
            _put(kept, name, fate, value, where)
    return kept


def is_unset(value: Any) -> bool:
    """Whether a value is that of an option that nobody gave: null, or empty text."""
    return value is None or value == ""


def still_holds(value: Any, fate: Gone) -> bool:
    """Whether a value that was set for an option that is gone means what happens now."""
    if isinstance(fate, Fixed):
        return same_value(value, fate.value)
    return not isinstance(fate, Removed) or same_value(value, fate.was)


def became(name: str, fate: Gone) -> str:
    """What became of an option, as a sentence."""
    if isinstance(fate, Renamed):
        return f"{name} belongs to {fate.to} now." if fate.joins else f"{name} is called {fate.to} now."
    if isinstance(fate, Fixed):
        shown = repr(fate.value) if isinstance(fate.value, str) else fate.value
        return f"{name} is {shown} for good now: {fate.why}."
    return f"{name} is gone: {fate.why if isinstance(fate, Ignored) else fate.instead}."


def same_value(value: Any, known: Any) -> bool:
    """Whether a recipe's value is that of `Fixed` or `Removed`; YAML reads `1e-4` as text."""
    if isinstance(known, Path):
        return Path(str(value)).parts[-len(known.parts) :] == known.parts
    if dataclasses.is_dataclass(known) and isinstance(value, Mapping):
        given = {str(key).replace("-", "_"): item for key, item in value.items()}
        return dataclasses.asdict(type(known)()) | given == dataclasses.asdict(known)
    if isinstance(value, bool) or isinstance(known, bool):
        return value is known
    value = tuple(value) if isinstance(value, list) else value
    try:
        return value == known or float(value) == float(known)
    except (TypeError, ValueError):
        return False


def say_once(text: str, where: str) -> None:
    """A line on stderr, once however often it comes up; where: the first place, added in brackets."""
    if text not in _SAID:
        _SAID.add(text)
        print(f"{text} ({where})", file=sys.stderr)


def _with_underscores(mapping: Mapping[str, Any], where: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, value in mapping.items():
        name = str(key).replace("-", "_")
        if name in options:
            raise UserError(f"{where}: {name} is given twice, with hyphens and with underscores.")
        options[name] = value
    return options


def _put(kept: dict[str, Any], old: str, fate: Renamed, value: Any, where: str) -> None:
    """Put the value of an option's old name where it belongs now."""
    name, dot, key = fate.to.partition(".")
    if fate.joins:
        kept[name] = [*_listed(kept.get(name, [])), *_listed(value)]
    elif dot:
        mapping = kept.get(name) or {}
        if not isinstance(mapping, Mapping):
            raise UserError(
                f"{where}: {name} = {shown(mapping)} is not `key: value` lines, and {old} is one of them."
            )
        if key in mapping:
            raise UserError(f"{where}: {fate.to} is given twice, once by its old name {old}.")
        kept[name] = {**mapping, key: value}
    elif name in kept:
        raise UserError(f"{where}: {name} is given twice, once by its old name {old}.")
    else:
        kept[name] = value


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
