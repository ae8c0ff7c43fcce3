"""Pickles as the small programs they are, run by a machine that knows plain values and a few named functions.

Python's own unpickler hands bytes of the file to whatever the pickle names, and allocates what the file
declares. This one reads no more than lies in the file, knows no instruction that builds or changes an object
of another kind, and calls only functions that it was given.
"""

from __future__ import annotations

import codecs
import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Protocol

from configs.errors import UserError

_SMALL_BYTES = 2**16  # below: immutable, above: an array may lie in the bytes that were read, without a copy
_MOST_NUMBER_BYTES = 16  # of a whole number
_MADE_A_BYTE = 64  # bytes that calls may make of each byte of the file
_LAYOUTS = {
    layout: (struct.calcsize(layout), struct.Struct(layout).unpack)
    for layout in ("<B", "<H", "<i", "<I", "<Q", ">d")
}
_LARGEST_KEY = 2**31  # whole numbers as keys of a dict: larger ones can be made to collide


class Stateful(Protocol):
    """What a known function returns when the pickle tells its state in a second step (BUILD)."""

    def set_state(self, state: Any) -> None:
        """Take the state over. Raises ValueError for one that does not fit."""


class _Known:
    """A name that the pickle may use: a function to call, or a word that means something to one."""

    __slots__ = ("function", "name")

    def __init__(self, name: str, function: Callable[..., Any] | None) -> None:
        self.name, self.function = name, function


class PickleMachine:
    """Runs the pickle at a file's position.

    known: {(module, name): function, or None for a word such as numpy.ndarray that is only handed on}.
    where: the file, for errors.
    """

    def __init__(
        self,
        file: BinaryIO,
        size_bytes: int,
        known: Mapping[tuple[str, str], Callable[..., Any] | None],
        where: str,
    ) -> None:
        self._file, self._size_bytes, self._where = file, size_bytes, where
        self._known = {key: _Known(".".join(key), function) for key, function in known.items()}
        self._stack: list[Any] = []
        self._marks: list[int] = []  # heights of the stack
        self._memo: dict[int, Any] = {}
        self._made_bytes = 0

    def run(self) -> Any:
        """The object, in which stateful ones still stand for what they describe.

        Raises UserError for a name that is not known, ValueError, TypeError and the like for what is broken.
        """
        read, steps = self._file.read, self._instructions()
        while (code := read(1)) != pickle.STOP:
            if code not in steps:
                raise ValueError(
                    f"instruction {code!r} at byte {self._file.tell()}" if code else "it is cut off"
                )
            steps[code]()
        return self._stack.pop()

    def _instructions(self) -> dict[bytes, Callable[[], None]]:
        push, number, text, short, memo = (
            self._stack.append,
            self._number,
            self._text,
            self._bytes,
            self._memo,
        )
        return {
            pickle.PROTO: lambda: self._take(1),
            pickle.FRAME: lambda: self._take(8),
            pickle.MARK: lambda: self._marks.append(len(self._stack)),
            pickle.POP: self._pop,
            pickle.POP_MARK: self._pop_mark,
            pickle.DUP: lambda: push(self._stack[-1]),
            pickle.NONE: lambda: push(None),
            pickle.NEWTRUE: lambda: push(True),
            pickle.NEWFALSE: lambda: push(False),
            pickle.INT: lambda: push(self._written_int()),
            pickle.LONG: lambda: push(self._written_int()),
            pickle.BININT: lambda: push(number("<i")),
            pickle.BININT1: lambda: push(number("<B")),
            pickle.BININT2: lambda: push(number("<H")),
            pickle.LONG1: lambda: push(self._long(number("<B"))),
            pickle.LONG4: lambda: push(self._long(number("<i"))),
            pickle.FLOAT: lambda: push(float(self._line())),
            pickle.BINFLOAT: lambda: push(number(">d")),
            pickle.STRING: lambda: push(self._written_string()),
            pickle.BINSTRING: lambda: push(bytes(short("<i")).decode("latin1")),
            pickle.SHORT_BINSTRING: lambda: push(short("<B").decode("latin1")),
            pickle.BINBYTES: lambda: push(short("<I")),
            pickle.SHORT_BINBYTES: lambda: push(short("<B")),
            pickle.BINBYTES8: lambda: push(short("<Q")),
            pickle.BYTEARRAY8: lambda: push(bytearray(short("<Q"))),
            pickle.UNICODE: lambda: push(self._line().decode("raw-unicode-escape")),
            pickle.BINUNICODE: lambda: push(text("<I")),
            pickle.SHORT_BINUNICODE: lambda: push(text("<B")),
            pickle.BINUNICODE8: lambda: push(text("<Q")),
            pickle.EMPTY_LIST: lambda: push([]),
            pickle.LIST: lambda: push(self._pop_mark()),
            pickle.APPEND: lambda: self._extend([self._stack.pop()]),
            pickle.APPENDS: lambda: self._extend(self._pop_mark()),
            pickle.EMPTY_TUPLE: lambda: push(()),
            pickle.TUPLE: lambda: push(tuple(self._pop_mark())),
            pickle.TUPLE1: lambda: push(self._last(1)),
            pickle.TUPLE2: lambda: push(self._last(2)),
            pickle.TUPLE3: lambda: push(self._last(3)),
            pickle.EMPTY_DICT: lambda: push({}),
            pickle.DICT: self._dict,
            pickle.SETITEM: lambda: self._set_items(self._last(2)),
            pickle.SETITEMS: lambda: self._set_items(self._pop_mark()),
            pickle.GLOBAL: lambda: push(self._name(self._line().decode(), self._line().decode())),
            pickle.STACK_GLOBAL: lambda: push(self._name(*self._last(2))),
            pickle.REDUCE: self._call,
            pickle.BUILD: self._set_state,
            pickle.PUT: lambda: self._keep(int(self._line())),
            pickle.BINPUT: lambda: self._keep(number("<B")),
            pickle.LONG_BINPUT: lambda: self._keep(number("<I")),
            pickle.MEMOIZE: lambda: self._keep(len(memo)),
            pickle.GET: lambda: push(memo[int(self._line())]),
            pickle.BINGET: lambda: push(memo[number("<B")]),
            pickle.LONG_BINGET: lambda: push(memo[number("<I")]),
        }

    def _take(self, count: int) -> bytes | bytearray:
        """The next `count` bytes, never more than the file has, and nothing allocated for more."""
        if count >= _SMALL_BYTES:
            if count > self._size_bytes - self._file.tell():
                raise ValueError("it is cut off")
            taken = bytearray(count)
            got = self._file.readinto(taken)
        else:
            taken = self._file.read(count) if count >= 0 else b""
            got = len(taken)
        if got != count:
            raise ValueError("it is cut off")
        return taken

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise ValueError("it is cut off")
        return line[:-1]

    def _number(self, layout: str) -> Any:
        count, unpack = _LAYOUTS[layout]
        return unpack(self._file.read(count))[0]

    def _bytes(self, layout: str) -> bytes | bytearray:
        return self._take(self._number(layout))

    def _text(self, layout: str) -> str:
        return str(self._bytes(layout), "utf-8", "surrogatepass")

    def _written_int(self) -> int | bool:
        line = self._line()
        if line in (b"00", b"01"):
            return line == b"01"
        digits = line.removesuffix(b"L")
        if len(digits) > 3 * _MOST_NUMBER_BYTES:
            raise ValueError(f"a whole number of {len(digits)} digits")
        return int(digits)

    def _long(self, count: int) -> int:
        if not 0 <= count <= _MOST_NUMBER_BYTES:
            raise ValueError(f"a whole number of {count} bytes")
        return int.from_bytes(self._take(count), "little", signed=True)

    def _written_string(self) -> str:
        line = self._line().strip()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise ValueError("a string without quotes")
        return codecs.escape_decode(line[1:-1])[0].decode("latin1")

    def _pop(self) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _pop_mark(self) -> list[Any]:
        height = self._marks.pop()
        if height > len(self._stack):
            raise ValueError("a mark above what is there")
        items = self._stack[height:]
        del self._stack[height:]
        return items

    def _dict(self) -> None:
        items = self._pop_mark()
        self._stack.append({})
        self._set_items(items)

    def _last(self, count: int) -> tuple[Any, ...]:
        if len(self._stack) < count:
            raise ValueError("a tuple of what is not there")
        values = tuple(self._stack[-count:])
        del self._stack[-count:]
        return values

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise ValueError(f"items for a {type(target).__name__}")
        target.extend(items)

    def _set_items(self, items: list[Any] | tuple[Any, ...]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError(f"keys for a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not (type(key) is str or (type(key) is int and abs(key) < _LARGEST_KEY)):
                raise ValueError(f"a dict with a key of type {type(key).__name__}: text is wanted")
            target[key] = value

    def _keep(self, number: int) -> None:
        if not 0 <= number <= self._size_bytes:
            raise ValueError(f"memory place {number}")
        self._memo[number] = self._stack[-1]

    def _name(self, module: Any, name: Any) -> _Known:
        if (module, name) in self._known:
            return self._known[module, name]
        raise UserError(
            f"{self._where}: the pickle asks for {module}.{name}, which could run code; nothing was "
            "loaded. A manifest may hold numpy arrays, strings, numbers, lists and dicts only."
        )

    def _call(self) -> None:
        function, arguments = self._last(2)
        if type(function) is not _Known or function.function is None or type(arguments) is not tuple:
            raise ValueError("a call of what is no function")
        words = [word.name if type(word) is _Known else word for word in arguments]
        result = function.function(*words)
        self._made_bytes += len(result) if type(result) is bytes else getattr(result, "nbytes", 0)
        if self._made_bytes > _MADE_A_BYTE * self._size_bytes:
            raise ValueError("it makes more bytes than a file of its size can hold")
        self._stack.append(result)

    def _set_state(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if not hasattr(target, "set_state"):
            raise ValueError(f"a state for a {type(target).__name__}")
        target.set_state(state)
