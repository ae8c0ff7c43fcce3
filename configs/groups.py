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
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import tyro

from configs.errors import UserError

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

    A Path as value stands for every path that ends in it.
    """

    value: Any
    why: str


@dataclass(frozen=True)
class Removed:
    """There is nothing in its place. instead: what to do, as a sentence."""

    instead: str


@dataclass(frozen=True)
class Ignored:
    """It changes no result any more; a recipe that sets it goes on without it. why: as a sentence."""

    why: str


Gone = Renamed | Fixed | Removed | Ignored


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
    """`mapping` (a recipe's options) with options that are gone brought to today's, each said once on stderr.

    Raises UserError for one that cannot be: it was removed, or set to another value than it has for good now.
    """
    gone = gone_options(cls)
    old = {key: name for key in mapping if (name := str(key).replace("-", "_")) in gone}
    kept = {key: value for key, value in mapping.items() if key not in old}
    for key, name in old.items():
        fate, value = gone[name], mapping[key]
        if isinstance(fate, Removed) or (isinstance(fate, Fixed) and not same_value(value, fate.value)):
            raise UserError(f"{where}: {name} = {value!r}: {became(name, fate)}")
        say_once(f"note: {became(name, fate)}", where)
        if isinstance(fate, Renamed):
            _put(kept, mapping, fate, value, where)
    return kept


def became(name: str, fate: Gone) -> str:
    """What became of an option, as a sentence."""
    if isinstance(fate, Renamed):
        return f"{name} belongs to {fate.to} now." if fate.joins else f"{name} is called {fate.to} now."
    if isinstance(fate, Fixed):
        return f"{name} is {fate.value} for good now: {fate.why}."
    return f"{name} is gone: {fate.why if isinstance(fate, Ignored) else fate.instead}."


def same_value(value: Any, fixed: Any) -> bool:
    """Whether a recipe's value is that of `Fixed`; YAML reads `1e-4` as text."""
    if isinstance(fixed, Path):
        return Path(str(value)).parts[-len(fixed.parts) :] == fixed.parts
    value = tuple(value) if isinstance(value, list) else value
    try:
        return value == fixed or float(value) == float(fixed)
    except (TypeError, ValueError):
        return False


def say_once(text: str, where: str) -> None:
    """A line on stderr, once however often it comes up; where: the first place, added in brackets."""
    if text not in _SAID:
        _SAID.add(text)
        print(f"{text} ({where})", file=sys.stderr)


def _put(kept: dict[str, Any], mapping: Mapping[str, Any], fate: Renamed, value: Any, where: str) -> None:
    name, dot, key = fate.to.partition(".")
    if fate.joins:
        before = kept.get(name, mapping.get(name, []))
        kept[name] = [*_listed(before), *_listed(value)]
    elif dot:
        kept[name] = {**kept.get(name, mapping.get(name) or {}), key: value}
    elif name in mapping:
        raise UserError(f"{where}: {name} is given twice, once by its old name.")
    else:
        kept[name] = value


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
