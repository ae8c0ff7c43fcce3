"""A configuration back into the flags that give it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from configs.argv import is_positional, shown_name
from configs.build import build_partial, field_types, takes_dict

_MISSING = object()


def to_flags(config: Any) -> list[str]:
    """The flags that give `config` (a dataclass instance) its values.

    Those equal to the default are left out, but for `output_dir`: one wants to see where things go.
    """
    return _flags(config, build_partial(type(config), {}, "defaults", missing=_MISSING), prefix="")


def _flags(config: Any, default: Any, prefix: str) -> list[str]:
    flags: list[str] = []
    for name, wanted in field_types(type(config)).items():
        value = getattr(config, name)
        default_value = getattr(default, name, _MISSING)
        if dataclasses.is_dataclass(value):
            flags += _flags(value, default_value, prefix=f"{prefix}{name}.")
        elif value == default_value and type(value) is type(default_value) and name != "output_dir":
            continue
        elif is_positional(type(config), name):  # before the flags: one that takes a list would swallow it
            flags = [*(str(item) for item in (value if isinstance(value, list | tuple) else [value])), *flags]
        else:
            flags += _flag(value, wanted, prefix, shown_name(type(config), name))
    return flags


def _flag(value: Any, wanted: Any, prefix: str, name: str) -> list[str]:
    flag = f"--{prefix}{name}".replace("_", "-")
    if wanted is bool:
        return [flag if value else f"--{prefix}no-{name}".replace("_", "-")]
    if takes_dict(wanted):
        return [flag, json.dumps(value)]
    if isinstance(value, list | tuple):
        return [flag, *(str(item) for item in value)]
    if isinstance(value, str) and value.startswith("-"):
        return [f"{flag}={value}"]  # else it would read as a flag
    return [flag, str(value)]
