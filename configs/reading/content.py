"""Files as bytes, JSON or YAML: regular ones of a sensible size, whose content costs what it is worth."""

from __future__ import annotations

import json
import os
import stat
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from configs.errors import UserError

MOST_BYTES = 2**30  # of a file that is read as a whole
MOST_YAML_BYTES = 2**22
MOST_YAML_VALUES = 200_000  # with every alias counted as what it stands for
DEEPEST = 100  # lists and mappings inside each other
_ZEROS = bytes(4096)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - _STEPS.keys())


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """A file opened for reading. Raises UserError for a pipe or device, which would be waited for or has no
    end, and for what is not there or may not be read.
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a folder" if path.is_dir() else "no regular file but a pipe or device"
            raise UserError(f"{path}: is {what}, expected a file.")
        return path.open("rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None


def read_bytes(path: str | os.PathLike, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a file. Raises UserError as `open_regular`, for a file that is larger than `most_bytes`,
    and for one that begins with zeros, as a sparse one does however large it is.
    """
    with open_regular(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > most_bytes:
            raise UserError(f"{path}: has {size_bytes:,} bytes, at most {most_bytes:,} are read; split it.")
        head = file.read(len(_ZEROS))
        if head == _ZEROS:
            raise UserError(f"{path}: begins with nothing but zeros: a copy that was not finished.")
        return head + file.read(most_bytes)


def read_json(path: str | os.PathLike) -> Any:
    """The content of a JSON file in any of Unicode's encodings. Raises UserError naming the file when it is
    missing or not JSON, or nested deeper than anything that people write.
    """
    return parse_json(read_bytes(path), str(path))


def parse_json(content: bytes, where: str) -> Any:
    """The value that JSON says. Raises UserError beginning with `where`, as `read_json`."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:  # ValueError: a whole number of thousands of digits, too
        raise UserError(f"{where}: not a JSON file ({error}).") from None
    # brackets inside of text count too: only where they are many, a closer look is worth its time
    brackets = content.translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEEPEST and _depth(value) > DEEPEST:
        raise UserError(f"{where}: lists and mappings lie deeper than {DEEPEST} inside each other.")
    return value


def read_yaml(path: str | os.PathLike, what: str = "file") -> Any:
    """What a YAML file holds. Raises UserError naming the file. what: it is, where it is missing."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such {what}.")
    content = read_bytes(path, MOST_YAML_BYTES)
    try:
        return parse_yaml(content.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read ({error}).") from None


def parse_yaml(text: str, where: str) -> Any:
    """What YAML text holds: plain values, no objects. Raises UserError beginning with `where` for what is not
    YAML, and for aliases that stand for more than anybody would write.
    """
    try:
        import yaml
    except ImportError:  # the package `pinna` does without
        raise UserError(f"{where}: YAML is read with PyYAML; `pip install PyYAML` brings it.") from None
    loader = None
    try:
        loader = (yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader)(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _values_of(node, {}, 0) > MOST_YAML_VALUES:
            raise UserError(f"{where}: its aliases stand for more than {MOST_YAML_VALUES:,} values.")
        return loader.construct_document(node)
    except UserError:
        raise
    except RecursionError:
        raise UserError(f"{where}: not YAML that can be read (nested too deep).") from None
    except Exception as error:  # `!!bool x` is a KeyError, `!!int ""` an IndexError, 2001-99-99 a ValueError
        raise UserError(f"{where}: not valid YAML: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _values_of(node: Any, known: dict[int, int], deep: int) -> int:
    """How many values a node is with its aliases followed. Raises ValueError for one that contains itself or
    lies too deep.
    """
    if id(node) in known:
        if known[id(node)] < 0:
            raise ValueError("a value that contains itself")
        return known[id(node)]
    if deep > DEEPEST:
        raise ValueError(f"lists and mappings lie deeper than {DEEPEST} inside each other")
    if isinstance(node.value, str):
        return 1
    known[id(node)] = -1
    parts = (part for item in node.value for part in (item if type(item) is tuple else (item,)))
    known[id(node)] = count = 1 + sum(_values_of(part, known, deep + 1) for part in parts)
    return count


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        level = [
            inner
            for item in level
            if isinstance(item, list | dict)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        depth += 1
    return depth
