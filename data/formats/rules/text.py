"""Text and numbers as tools of all systems write them: byte order marks, UTF-16, decimal commas."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

from configs.errors import UserError, shown
from configs.reading.content import read_bytes

_MARKS = (  # the longer first: that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECIMAL_COMMA = re.compile(r"[-+]?\d+(,\d+)?")


def read_text(file: Path) -> str:
    """The text of a file with `\\n` between lines. Raises UserError for one that is no text."""
    raw = read_bytes(file)
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    if encoding is None and raw[1::2].count(0) > len(raw) // 4:
        encoding = "utf-16-le"
    elif encoding is None and raw[::2].count(0) > len(raw) // 4:
        encoding = "utf-16-be"
    try:
        text = raw.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding is not None or b"\0" in raw:
            raise UserError(f"{file}: not a text file ({error}).") from None
        text = raw.decode("cp1252", errors="replace")  # what older tools of Windows write
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_numbers(line: str) -> list[str]:
    """The numbers of a line, as text with decimal points; between them spaces, semicolons or commas."""
    line = line.strip()
    if "," not in line:
        return re.split(r"[;\s]+", line) if line else []
    words = [word for word in re.split(r"[;\s]+", line) if word]
    if len(words) > 1 and "." not in line and all(map(_DECIMAL_COMMA.fullmatch, words)):
        return [word.replace(",", ".") for word in words]
    return [word for word in re.split(r"[,;\s]+", line) if word]


def number(value: Any) -> float:
    """A number from a JSON value or a cell of a table. Raises ValueError for what is none."""
    if isinstance(value, bool) or value is None:
        raise ValueError(f"{shown(value)} is no number")
    if isinstance(value, str) and value.count(",") == 1 and "." not in value:
        value = value.replace(",", ".")
    try:
        return float(value)
    except (TypeError, OverflowError):  # 10**400 is none that a float can hold
        raise ValueError(f"{shown(value)} is no number") from None
