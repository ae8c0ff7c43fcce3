"""A dataclass from a plain mapping (YAML), with every value brought to the type of its field."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, Union

from configs.errors import UserError, did_you_mean, shown
from configs.groups import groups_of, options_of, without_gone
from configs.reading.coercion import coerce

T = TypeVar("T")


def build(cls: type[T], mapping: Mapping[str, Any], where: str) -> T:
    """Make `cls` (a dataclass, possibly with dataclasses inside) from `mapping`.

    Keys may be written with hyphens; those of its groups (`configs.groups`) stand beside its own. Values are
    brought to the field's type: PyYAML reads `1e-4` as a string, which a float field takes; a float field
    takes an int; a Path field takes a string; a tuple field takes a single value. `where` says in errors
    where the mapping stands, for example `configs/demo.yaml, stage 'teacher'`.

    Raises UserError for an unknown key (with "did you mean"), a missing one, and a value of the wrong type.
    """
    values = _field_values(cls, mapping, where, key_prefix="", construct=build)
    missing = [field.name for field in _settable(cls) if field.name not in values and _is_required(field)]
    if missing:
        raise UserError(f"{where}: missing option{'s' * (len(missing) > 1)} {', '.join(missing)}.")
    try:
        return _constructed(cls, values)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def build_partial(cls: type[T], mapping: Mapping[str, Any], where: str, missing: Any) -> T:
    """Like `build`, but a field without value or default holds `missing`, and `__post_init__` does not run.

    For defaults which flags will complete, and to look at options before their values are all known.
    """
    construct = functools.partial(build_partial, missing=missing)
    values = _field_values(cls, mapping, where, key_prefix="", construct=construct)
    return _assemble(cls, values, missing)


def configured(cls: type[T], **options: Any) -> T:
    """`cls` with these options, those of its groups among them: what a recipe with them would give."""
    return build(cls, options, cls.__module__)


def with_options(config: T, **changes: Any) -> T:
    """A copy of `config` with other values of some options, those of its groups among them."""
    groups = groups_of(type(config))
    inside = {name: set(field_types(group)) for name, group in groups.items()}
    values = {
        name: value for name, value in changes.items() if not any(name in own for own in inside.values())
    }
    for group, own in inside.items():
        changed = {name: value for name, value in changes.items() if name in own}
        if changed:
            values[group] = with_options(getattr(config, group), **changed)
    return dataclasses.replace(config, **values)


@functools.cache
def field_types(cls: type) -> dict[str, Any]:
    """{option: type} of a dataclass, its groups' among them, annotations resolved, fields that cannot be set
    left out.
    """
    hints, groups = typing.get_type_hints(cls), groups_of(cls)
    found: dict[str, Any] = {}
    for field in _settable(cls):
        found |= field_types(groups[field.name]) if field.name in groups else {field.name: hints[field.name]}
    return found


def values_of(config: Any) -> dict[str, Any]:
    """{option: value} of a dataclass, its groups' among them."""
    return dict(options_of(config))


def takes_dict(wanted: Any) -> bool:
    """Whether a field of the type `wanted` is a dict, or may be one."""
    if wanted is dict or typing.get_origin(wanted) is dict:
        return True
    return typing.get_origin(wanted) in (Union, types.UnionType) and any(
        takes_dict(part) for part in typing.get_args(wanted)
    )


def _field_values(cls: type, mapping: Any, where: str, key_prefix: str, construct: Any) -> dict[str, Any]:
    if not isinstance(mapping, Mapping):
        raise UserError(f"{where}: expected `key: value` lines, found {shown(mapping)}.")
    wanted_types = field_types(cls)
    values: dict[str, Any] = {}
    for name, value in without_gone(cls, mapping, where).items():
        if name not in wanted_types:
            raise UserError(
                f"{where}: unknown option {key_prefix + name!r}.{did_you_mean(name, wanted_types)} "
                f"Options are: {', '.join(wanted_types)}."
            )
        values[name] = coerce(value, wanted_types[name], where, key_prefix + name, construct)
    return _grouped(cls, values)


def _grouped(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    """{field: value} with the values of a group in a dict under the group's name, where there are any."""
    grouped: dict[str, Any] = {}
    of_group = {name: group for group, kind in groups_of(cls).items() for name in field_types(kind)}
    for name, value in values.items():
        if name in of_group:
            grouped.setdefault(of_group[name], {})[name] = value
        else:
            grouped[name] = value
    return grouped


def _constructed(cls: type[T], values: dict[str, Any]) -> T:
    """`cls` from {field: value}; a group is its default with the values given."""
    for name in groups_of(cls).keys() & values:
        values[name] = with_options(_default(cls, name), **values[name])
    return cls(**values)


def _settable(cls: type) -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(cls) if field.init]


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(cls: type, name: str) -> Any:
    """The default of a field; MISSING where it has none."""
    field = next(field for field in dataclasses.fields(cls) if field.name == name)
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _assemble(cls: type[T], values: dict[str, Any], missing: Any) -> T:
    """An instance of `cls`: its defaults, `values` over them, `missing` for the rest; no `__init__`."""
    groups = groups_of(cls)
    instance = object.__new__(cls)
    for field in dataclasses.fields(cls):
        default = _default(cls, field.name)
        value = missing if default is dataclasses.MISSING else default
        if field.name in groups:
            value = _overlaid(value, values.get(field.name, {}))
        elif field.name in values:
            value = values[field.name]
        object.__setattr__(instance, field.name, value)  # the class may be frozen
    return instance


def _overlaid(group: T, values: dict[str, Any]) -> T:
    """A copy of a group with other values, unchecked."""
    instance = object.__new__(type(group))
    for field in dataclasses.fields(group):
        object.__setattr__(instance, field.name, values.get(field.name, getattr(group, field.name)))
    return instance
