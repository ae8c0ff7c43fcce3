"""Valid files made wrong: trees of plain values with other types, lengths, depths; text and bytes likewise.

Everything is drawn by hypothesis, so that a failing input is made small before it is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

LONG_ENOUGH = 100_000  # characters; beyond, a file shows nothing new
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252")


class Raw(str):
    """Text that stands in the file as it is, whatever it means there."""


class Twice(dict):
    """A mapping whose items all stand in the file twice."""


def nested(depth: int) -> Any:
    """[[[...]]]"""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


STRANGE = (
    None, True, False, 0, -1, 1.5, 3, float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 2**31, 2**63,
    2**53 + 1, -(2**64), 10**30, 10**400, "", " ", "nan", "inf", "1e999", "1,5", "1,5,2", "0x10", "²", "true",
    "\0", "\ud800", "é", "ear", "a.png", "../../../../etc/passwd", "/dev/zero", "/", ".", "..", "a" * 300,
    "a" * 5000,
    "C:\\a.png", "http://[::1", "file:///a.png", "/data/local-files/?d=a.png", "rect", "rectangle", "polygon",
    [], {}, [[]], [{}], [None], [""], {"": None}, {"a": [1]}, [1, 2], [1, 2, 3], [[1, 2], [3, 4]], [1] * 300,
    nested(40), nested(500), Raw("[" * 100_000 + "]" * 100_000), Raw("9" * 5000), Raw("1e5000"), Raw("-"),
)  # fmt: skip
TOKENS = tuple(
    str(value) if not isinstance(value, str) else value
    for value in STRANGE
    if not isinstance(value, list | dict) and value != 10**400
) + (*",;\t|\"'{}[]:#%", "- ", "&a ", "*a", "!!int ", "<<", "--- ")


def strange_values() -> st.SearchStrategy[Any]:
    """One of the values that readers stumble over."""
    return st.sampled_from(STRANGE)


@st.composite
def changed_tree(draw: DrawFn, tree: Any) -> Any:
    """A tree of dicts, lists and plain values with one to three changes."""
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(tree))
        place = draw(st.sampled_from(places))
        change = draw(st.sampled_from(CHANGES))
        tree = _at(tree, place, lambda value, change=change: change(draw, value))
    return tree


@st.composite
def changed_text(draw: DrawFn, text: str) -> str:
    """Words and lines replaced, doubled, left out, joined."""
    for _ in range(draw(st.integers(1, 3))):
        by_lines = draw(st.booleans())
        parts = text.splitlines(keepends=True) if by_lines else _words(text)
        if not parts or len(text) > LONG_ENOUGH:
            return text
        place = draw(st.integers(0, len(parts) - 1))
        way = draw(st.sampled_from(("replace", "insert", "drop", "double", "many", "swap", "cut")))
        if way == "replace":
            parts[place] = draw(st.sampled_from(TOKENS)) + ("\n" if by_lines else "")
        elif way == "insert":
            parts.insert(place, draw(st.sampled_from(TOKENS)))
        elif way == "drop":
            del parts[place]
        elif way in ("double", "many"):
            parts[place] *= 2 if way == "double" else 500
        elif way == "swap":
            other = draw(st.integers(0, len(parts) - 1))
            parts[place], parts[other] = parts[other], parts[place]
        else:
            del parts[place:]
        text = "".join(parts)
    return text


@st.composite
def changed_bytes(draw: DrawFn, content: bytes) -> bytes:
    """Bits flipped, bytes replaced, slices left out, doubled, zeroed; the file cut off."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(changed) - 1)))
        way = draw(st.sampled_from(("bit", "bytes", "drop", "double", "zeros", "ones", "cut")))
        width = draw(st.sampled_from((1, 2, 4, 8, 40)))
        if way == "bit" and changed:
            changed[at] ^= 1 << draw(st.integers(0, 7))
        elif way == "bytes":
            changed[at : at + width] = draw(st.binary(min_size=1, max_size=8))
        elif way == "drop":
            del changed[at : at + width]
        elif way == "double":
            changed[at:at] = changed[at : at + width] * draw(st.sampled_from((1, 50)))
        elif way in ("zeros", "ones"):
            changed[at : at + width] = (b"\0" if way == "zeros" else b"\xff") * len(changed[at : at + width])
        elif way == "cut":
            del changed[at:]
    return bytes(changed)


@st.composite
def encoded(draw: DrawFn, text: str) -> bytes:
    """In UTF-8, or now and then in another encoding, or with bytes changed on top."""
    encoding = draw(st.sampled_from(("utf-8",) * 8 + ENCODINGS))
    content = text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")
    return draw(changed_bytes(content)) if draw(st.integers(0, 7)) == 7 else content


def to_json(value: Any) -> str:
    """JSON with what Python's own writer would not write: raw text, items that stand twice, NaN."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        items = [f"{json.dumps(str(key))}: {to_json(item)}" for key, item in value.items()]
        return "{" + ", ".join(items * (2 if isinstance(value, Twice) else 1)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_json, value)) + "]"
    return json.dumps(value)


def to_yaml(value: Any) -> str:
    """YAML in JSON's style, in which text of more than a word stands in quotes."""
    return to_json(value).replace("NaN", ".nan").replace("-Infinity", "-.inf").replace("Infinity", ".inf")


def _places(tree: Any, place: tuple = ()) -> Iterator[tuple]:
    """The way to every value of a tree, the root's first."""
    yield place
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, item in items:
        if len(place) < 12:
            yield from _places(item, (*place, key))


def _at(tree: Any, place: tuple, change: Callable[[Any], Any]) -> Any:
    """A copy of the tree with the value at a place changed; GONE leaves it out."""
    if not place:
        value = change(tree)
        return None if value is GONE else value
    key, *rest = place
    value = _at(tree[key], tuple(rest), change) if rest else change(tree[key])
    if isinstance(tree, dict):
        kept = {name: value if name == key else item for name, item in tree.items()}
        return type(tree)({name: item for name, item in kept.items() if item is not GONE})
    kept = [value if number == key else item for number, item in enumerate(tree)]
    return [item for item in kept if item is not GONE]


GONE = object()


def _renamed(draw: DrawFn, value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        return draw(strange_values())
    key = draw(st.sampled_from(list(value)))
    new = draw(st.sampled_from(("", "id", "\ud800", "a" * 300, "0", str(key).upper())))
    return {new if name == key else name: item for name, item in value.items()}


def _longer(draw: DrawFn, value: Any) -> Any:
    if isinstance(value, list):
        return value * draw(st.sampled_from((2, 3, 100))) if draw(st.booleans()) else value[:-1]
    if isinstance(value, str):
        return value * draw(st.sampled_from((2, 1000)))
    return [value]


CHANGES: tuple[Callable[[DrawFn, Any], Any], ...] = (
    lambda draw, value: draw(strange_values()),
    lambda draw, value: draw(strange_values()),
    lambda draw, value: draw(strange_values()),
    lambda draw, value: GONE,
    lambda draw, value: str(value)[:1000],
    lambda draw, value: {"a": value},
    lambda draw, value: Twice(value) if isinstance(value, dict) else [value],
    lambda draw, value: draw(st.one_of(st.integers(), st.floats(), st.text(max_size=5))),
    _renamed,
    _longer,
)


def _words(text: str) -> list[str]:
    """Words, numbers, and what stands between them, each by itself."""
    return re.findall(r"[^\W_]+|[\W_]", text)
