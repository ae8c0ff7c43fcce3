"""numpy arrays and numbers as pickles describe them, rebuilt from bytes with checks of our own.

A pickle of numpy names four functions; `KNOWN` has one of ours for each. None of numpy's own is called with
what stands in the file but `numpy.frombuffer`, whose type and length are known to fit by then.
"""

from __future__ import annotations

import codecs
import math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}  # bytes of one value, by kind
_CHARACTER_BYTES = {"U": 4, "S": 1}
_TYPE = re.compile(r"([a-zA-Z])(\d{0,9})")
_MOST_SIDES = 8  # of an array
_MOST_DEEP = 32  # lists inside lists
_PLAIN = {int, float, bool, type(None)}
# what a file holds once may be named many times: what that may grow to, a floor and for each byte of the file
_VISITS = (2**16, 4)
_BYTES = (2**24, 64)


class PickledType:
    """The type of an array: boolean, whole or decimal number, text, bytes, or O for any values."""

    def __init__(self, name: Any, *_: Any) -> None:
        """name: such as f4, U19, O8. Raises ValueError for another kind or size."""
        match = _TYPE.fullmatch(name) if type(name) is str else None
        self.kind, size = (match[1], int(match[2] or 0)) if match else ("", 0)
        self.item_bytes = size * _CHARACTER_BYTES.get(self.kind, 1)
        if self.kind != "O" and self.kind not in _CHARACTER_BYTES and size not in _SIZES.get(self.kind, ()):
            raise ValueError(f"an array of type {name!r}: numbers, booleans and text are allowed")
        self._order = "="

    def set_state(self, state: Any) -> None:
        """state: version, byte order, no parts (thrice), item size where it is variable, and what follows."""
        order, size_bytes = (state[1], state[5]) if type(state) is tuple and len(state) >= 7 else (None, -1)
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise ValueError("an array's type with parts")
        if size_bytes not in (-1, self.item_bytes):
            raise ValueError(f"an array's type of {size_bytes!r} bytes, {self.item_bytes} are meant")
        self._order = order

    def numpy_type(self) -> np.dtype:
        """As numpy has it; of numbers and text only."""
        size = self.item_bytes // _CHARACTER_BYTES.get(self.kind, 1)
        return np.dtype(f"{'=' if self._order == '|' else self._order}{self.kind}{size}")


class PickledArray:
    """An array: its shape, type and content, which come after it was named."""

    def __init__(self, *_: Any) -> None:
        self._state: tuple[tuple[int, ...], PickledType, bool, Any] | None = None
        self._built: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        """state: (version,) shape, type, whether columns come first, and bytes or a list of values."""
        if type(state) is not tuple or len(state) not in (4, 5):
            raise ValueError("an array of another layout")
        shape, kind, fortran, content = state[-4:]
        self._state = (_sides(shape), _type(kind), bool(fortran), content)
        self._built = None

    def content_bytes(self) -> int:
        """Bytes of the values, 0 where they are a list."""
        content = None if self._state is None else self._state[3]
        return len(content) if isinstance(content, bytes | bytearray | str) else 0

    def build(self, finished: Callable[[Any], Any]) -> np.ndarray:
        """The array. finished: makes plain values of those inside an array of type O.

        Raises ValueError where the content has another length than shape and type say.
        """
        if self._built is None:
            if self._state is None:
                raise ValueError("an array without content")
            shape, kind, fortran, content = self._state
            flat = _objects(content, finished) if kind.kind == "O" else _values(content, kind)
            if len(flat) != math.prod(shape):
                raise ValueError(f"an array of shape {shape} with {len(flat)} values")
            self._built = flat.reshape(shape, order="F" if fortran else "C")
        return self._built


class Finish:
    """Makes what the machine returns plain: arrays in the place of their descriptions.

    size_bytes: of the file; it bounds how much the values that it names many times may grow to.
    """

    def __init__(self, size_bytes: int) -> None:
        self._visits, self._bytes = (floor + each * size_bytes for floor, each in (_VISITS, _BYTES))

    def __call__(self, value: Any, deep: int = 0) -> Any:
        """Raises ValueError for what is nested too deep, grows too large or is no value."""
        if deep > _MOST_DEEP:
            raise ValueError("lists nested too deep")
        kind = type(value)
        self._spend(visits=1)
        if kind is PickledArray:
            self._spend(value.content_bytes())
            return value.build(lambda item: self(item, deep + 1))
        if kind in (list, tuple):
            kinds = set(map(type, value))
            if kinds == {str}:
                self._spend(4 * len(value) * max(map(len, value)), len(value))  # what an array of them takes
                return value
            if kinds <= _PLAIN:
                self._spend(visits=len(value))
                return value
            return kind(self(item, deep + 1) for item in value)
        if kind is dict:
            return {key: self(item, deep + 1) for key, item in value.items()}
        if kind in (bytes, bytearray):
            self._spend(len(value))
            return bytes(value)
        if kind is str or kind in _PLAIN or isinstance(value, np.generic):
            return value
        raise ValueError(f"a {kind.__name__} where a value is expected")

    def _spend(self, size_bytes: int = 0, visits: int = 0) -> None:
        self._visits -= visits
        self._bytes -= size_bytes
        if min(self._visits, self._bytes) < 0:
            raise ValueError("it declares more values than a file of its size can hold")


def _values(content: Any, kind: PickledType) -> np.ndarray:
    """(N,) numbers or text that lie in `content`."""
    content = content.encode("latin1") if type(content) is str else content  # as Python 2 wrote them
    if type(content) not in (bytes, bytearray):
        raise ValueError("an array whose content is no bytes")
    if kind.item_bytes == 0 and not content:  # text of no characters: only where there is nothing
        return np.empty(0, kind.numpy_type())
    if kind.item_bytes == 0 or len(content) % kind.item_bytes:
        raise ValueError(f"{len(content)} bytes of values with {kind.item_bytes} bytes each")
    if kind.kind == "b" and content.strip(b"\0\1"):
        raise ValueError("a boolean that is neither 0 nor 1")
    # small bytes are Python's own and may be shared: an array that may be written to needs its own
    array = np.frombuffer(content if type(content) is bytearray else bytearray(content), kind.numpy_type())
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if kind.kind == "U" and array.size and array.view(np.uint32).max() > sys.maxunicode:
        raise ValueError("text with what is no character")
    return array


def _objects(content: Any, finished: Callable[[Any], Any]) -> np.ndarray:
    """(N,) of any values, which the pickle has as a list."""
    if type(content) is not list:
        raise ValueError("an array of objects that are not listed")
    flat = np.empty(len(content), dtype=object)
    for place, item in enumerate(finished(content)):
        flat[place] = item
    return flat


def _sides(shape: Any) -> tuple[int, ...]:
    shape = (shape,) if type(shape) is int else shape
    if type(shape) is not tuple or len(shape) > _MOST_SIDES:
        raise ValueError("an array with a shape of another kind")
    if any(type(side) is not int or not 0 <= side < 2**40 for side in shape):
        raise ValueError(f"an array of shape {shape}")
    return shape


def _type(kind: Any) -> PickledType:
    if type(kind) is not PickledType:
        raise ValueError("an array without a type")
    return kind


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any = "C") -> PickledArray:
    """As protocol 5 describes arrays, in one step."""
    array = PickledArray()
    array.set_state((shape, kind, order == "F", content))
    return array


def _scalar(kind: Any, content: Any = None) -> Any:
    """A number of numpy's."""
    if _type(kind).kind == "O":
        return content
    values = _values(content, kind)
    if len(values) != 1:
        raise ValueError(f"a number made of {len(values)}")
    return values[0]


def _encode(text: Any, encoding: Any = None) -> bytes:
    """Bytes as protocols 0 to 2 write them."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes of another encoding")
    return codecs.latin_1_encode(text)[0]


def _no_bytes() -> bytes:
    """Empty bytes as protocols 0 to 2 write them."""
    return b""


# the names in old and new pickles of numpy arrays: `numpy.core` became `numpy._core` in numpy 2
KNOWN: dict[tuple[str, str], Callable[..., Any] | None] = {
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): PickledType,
    ("_codecs", "encode"): _encode,
    ("builtins", "bytes"): _no_bytes,
    ("__builtin__", "bytes"): _no_bytes,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): PickledArray for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}
