"""A stage's settings as its record keeps them, and which of them differ from an older record's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from configs.groups import Fixed, Gone, Renamed, gone_options, same_value
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
        elif isinstance(fate, Fixed) and not same_value(value, _part(fate.value, rest, value)):
            found[key] = value
    return found


def _part(fixed: Any, key: str, otherwise: Any) -> Any:
    """`fixed`, or of a mapping what stands under `key`; `otherwise` where there is nothing."""
    return fixed.get(key, otherwise) if key and isinstance(fixed, Mapping) else fixed


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
