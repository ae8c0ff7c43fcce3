"""A plain value, of YAML, JSON or a flag, brought to the type that a field has."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union

from configs.errors import UserError, did_you_mean, shown

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def coerce(
    value: Any, wanted: Any, where: str, key: str, construct: Callable[[Any, Any, str], Any] | None = None
) -> Any:
    """Bring `value` to the type `wanted`. construct: makes a dataclass of a mapping, `configs.build.build`
    where such types may come.

    Raises UserError, which names `where` and `key`, if it cannot.
    """
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is typing.Annotated:
        return coerce(value, arguments[0], where, key, construct)
    if wanted is Any or (wanted is type(None) and value is None):
        return value
    if origin in (Union, types.UnionType):
        return _coerce_union(value, arguments, where, key, construct)
    if construct is not None and dataclasses.is_dataclass(wanted):
        if isinstance(value, wanted):
            return value
        return construct(wanted, value if value is not None else {}, f"{where}, {key}")
    if origin is Literal:
        return _coerce_literal(value, arguments, where, key)
    if (origin or wanted) in (list, tuple, dict):
        return _coerce_collection(value, origin or wanted, arguments, where, key, construct)
    if wanted in _SCALARS:
        return _SCALARS[wanted](value, where, key)
    raise TypeError(f"{key}: a field of type {wanted} cannot be read from YAML")


def _coerce_union(value: Any, arguments: tuple, where: str, key: str, construct: Any) -> Any:
    if value is None and type(None) in arguments:
        return None
    arguments = tuple(argument for argument in arguments if argument is not type(None))
    if type(value) in arguments:  # an int stays an int in `float | int`
        return value
    for argument in arguments:
        try:
            return coerce(value, argument, where, key, construct)
        except UserError as error:
            last_error = error
    if len(arguments) == 1:
        raise last_error
    raise _wrong(value, " or ".join(_type_name(argument) for argument in arguments), where, key)


def _coerce_literal(value: Any, allowed: tuple, where: str, key: str) -> Any:
    for choice in allowed:
        if type(value) is type(choice) and value == choice:
            return choice
    for choice in allowed:  # YAML reads `precision: 32` as a number where the choice is "32"
        if not isinstance(value, bool) and str(value) == str(choice):
            return choice
    hint = did_you_mean(value, [str(choice) for choice in allowed]) if isinstance(value, str) else ""
    choices = ", ".join(repr(choice) for choice in allowed)
    raise UserError(f"{where}: {key} = {shown(value)} is not one of {choices}.{hint}")


def _coerce_collection(value: Any, kind: type, arguments: tuple, where: str, key: str, construct: Any) -> Any:
    if kind is dict:
        if not isinstance(value, Mapping):
            raise _wrong(value, "`key: value` lines", where, key)
        key_type, value_type = arguments or (Any, Any)
        return {
            coerce(name, key_type, where, f"key of {key}", construct): coerce(
                item, value_type, where, f"{key}.{name}", construct
            )
            for name, item in value.items()
        }
    if kind is tuple and arguments[-1:] == (Ellipsis,) and isinstance(value, str | int | float | Path):
        value = [value]  # one where several may stand
    if not isinstance(value, list | tuple):
        raise _wrong(value, "a list such as [1, 2]", where, key)
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise UserError(
                f"{where}: {key} = {shown(value)} has {len(value)} entries, {len(arguments)} are needed."
            )
        item_types = arguments
    else:
        item_types = (arguments[0] if arguments else Any,) * len(value)
    return kind(
        coerce(item, item_type, where, f"{key}[{i}]", construct)
        for i, (item, item_type) in enumerate(zip(value, item_types, strict=True))
    )


def _to_bool(value: Any, where: str, key: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    raise _wrong(value, "true or false", where, key)


def _to_int(value: Any, where: str, key: str) -> int:
    number = _to_float(value, where, key, wanted="a whole number")
    if isinstance(value, int):
        return value
    if not number.is_integer():
        raise _wrong(value, "a whole number", where, key)
    return int(number)


def _to_float(value: Any, where: str, key: str, wanted: str = "a number") -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):  # 10**400 is none that a float can hold
            pass
    raise _wrong(value, wanted, where, key)


def _to_str(value: Any, where: str, key: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Path):
        raise _wrong(value, "text (in quotes, if it reads like another type)", where, key)
    return str(value)


def _to_path(value: Any, where: str, key: str) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip():
        raise _wrong(value, "a path", where, key)
    return Path(value).expanduser()


_SCALARS = {bool: _to_bool, int: _to_int, float: _to_float, str: _to_str, Path: _to_path}


def _wrong(value: Any, wanted: str, where: str, key: str) -> UserError:
    return UserError(f"{where}: {key} = {shown(value)} is not {wanted}.")


def _type_name(wanted: Any) -> str:
    return getattr(wanted, "__name__", str(wanted))
