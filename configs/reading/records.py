"""Records of files that other programs wrote, as dataclasses: each field says what it may be."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from configs.build import build, field_types
from configs.errors import UserError, shown
from configs.reading.coercion import coerce

T = TypeVar("T")


def as_record(cls: type[T], raw: Any, where: str) -> T:
    """`cls`, a dataclass, from a mapping; what `cls` has no field for is left out, other than by
    `configs.build.build`, which reads what people wrote for us. Null is a value that is not there.

    Raises UserError beginning with `where` for what is no mapping, and naming the field that is missing or of
    another type.
    """
    wanted = field_types(cls)
    if not isinstance(raw, Mapping):
        raise UserError(f"{where}: expected a record with {', '.join(wanted)}, found {shown(raw)}.")
    values = {}
    for field in dataclasses.fields(cls):
        value = raw.get(field.name)
        if value is not None:
            values[field.name] = coerce(value, wanted[field.name], where, field.name, build)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UserError(f"{where}: no {field.name!r}, {_in_words(wanted[field.name])} is needed.")
    return cls(**values)


def _in_words(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_in_words(part) for part in typing.get_args(kind) if part is not type(None))
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    words |= {list: "a list", tuple: "a list", dict: "a mapping"}
    return words.get(origin or kind, "a value")
