"""A configuration back into the flags that give it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from configs.argv import is_positional, shown_name
from configs.build import build_partial, field_types, takes_dict, values_of

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
    if isinstance(value, str) and value.startswith("-"):
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
