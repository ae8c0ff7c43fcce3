"""A stage's settings as its record keeps them, and which of them differ from an older record's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from configs.groups import Fixed, Gone, Removed, Renamed, gone_options, same_value
from configs.provenance import plain

# settings that change how a stage works, not what comes out
WITHOUT_EFFECT = frozenset(
    {"output_dir", "resume", "num_workers", "workers", "processes", "gradient_checkpointing"}
)


def settings_of(config: Any) -> dict[str, Any]:
    """{dotted option: plain value} of a Config, those without effect left out."""
    return {key: value for key, value in _flat(plain(config)) if key not in WITHOUT_EFFECT}


def changed_settings(
    old: Mapping[str, Any], new: Mapping[str, Any], defaults: Mapping[str, Any], config_class: type
) -> list[str]:
    """What differs, as `setting NAME OLD -> NEW`.

    old: as recorded, perhaps by the command of another day; new, defaults: as `settings_of` gives them today.
    An option the command gained since counts as changed only when it is not at its default, one that it lost
    (`configs.groups`) only when it is a constant now and had another value.
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
    found: dict[str, Any] = {}
    joined: dict[str, Any] = {}
    for key, value in old.items():
        name, dot, rest = key.partition(".")
        fate = gone.get(name)
        if isinstance(fate, Renamed) and fate.joins:
            joined[fate.to] = value
        elif isinstance(fate, Renamed):
            found[f"{fate.to}{dot}{rest}"] = value
        elif isinstance(fate, Fixed) and same_value(value, fate.value):
            continue
        elif not isinstance(fate, Removed):
            found[key] = value
    for name, value in joined.items():
        found[name] = [*_listed(found.get(name)), *_listed(value)]
    return found


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
