"""A stage's settings as its record keeps them, and which of them differ from an older record's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from configs.groups import Fixed, Gone, Removed, Renamed, gone_options, is_unset, still_holds
from configs.provenance import plain

# settings that change how a stage works, not what comes out
WITHOUT_EFFECT = frozenset(
    {"output_dir", "resume", "num_workers", "workers", "processes", "gradient_checkpointing"}
)


def settings_of(options: object) -> dict[str, Any]:
    """{dotted option: plain value} of a command's options (its Config), those without effect left out."""
    return {key: value for key, value in _flat(plain(options)) if key not in WITHOUT_EFFECT}


def changed_settings(
    old: Mapping[str, Any], new: Mapping[str, Any], defaults: Mapping[str, Any], config_class: type
) -> list[str]:
    """What differs, as `setting NAME OLD -> NEW`.

    old: as recorded, perhaps by the command of another day; new, defaults: as `settings_of` gives them today.
    An option the command gained since counts as changed only when it is not at its default, one that it lost
    (`configs.groups`) only when it had another value than what happens now.
    """
    old = _todays(old, gone_options(config_class))
    reasons = []
    for key in [*new, *(key for key in old if key not in new)]:
        before, after = old.get(key, defaults.get(key)), new.get(key)
        if isinstance(after, list) and before is not None and not isinstance(before, list):
            before = [before]  # the option takes several now
        if before != after:
            reasons.append(f"setting {key} {_shown(before)} -> {_shown(after)}")
    return reasons


def _todays(old: Mapping[str, Any], gone: Mapping[str, Gone]) -> dict[str, Any]:
    """Recorded settings under the names that they have now; those that do not count any more left out."""
    fates = {key: gone.get(key.partition(".")[0]) for key in old}
    found = {key: value for key, value in old.items() if fates[key] is None}
    for key, fate in fates.items():
        name, dot, rest = key.partition(".")
        value = old[key]
        if isinstance(fate, Renamed) and fate.joins:
            found[fate.to] = [*_listed(found.get(fate.to)), *_listed(value)]
        elif isinstance(fate, Renamed):
            new = f"{fate.to}{dot}{rest}"
            found[new] = value or found.get(new, value)  # of two options that are one now, the one in use
        elif isinstance(fate, Fixed | Removed) and not _still_holds(value, rest, fate):
            found[key] = value
    empty = [
        key for key, value in found.items() if value == {} and any(k.startswith(f"{key}.") for k in found)
    ]
    return {key: value for key, value in found.items() if key not in empty}


def _still_holds(value: Any, key: str, fate: Fixed | Removed) -> bool:
    """As `configs.groups.still_holds`. key: its name where the value is one of a mapping's."""
    if is_unset(value):
        return True
    fixed = getattr(fate, "value", None)
    if key and dataclasses.is_dataclass(fixed):
        return getattr(fixed, key, value) == value
    if key and isinstance(fixed, Mapping):
        return fixed.get(key, value) == value
    return still_holds(value, fate)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _flat(mapping: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else repr(value)
