"""The one error for what a user can cause, and the hint for a misspelt word."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

LONGEST_MESSAGE = 3000  # characters; what a file holds may be longer than anyone reads
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 100, 100
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 20


class UserError(ValueError):
    """Something a user can cause and mend: says what was found, where, what is allowed and what to do.

    Commands print it as `error: ...` without a traceback and exit with 2 (`configs.command`).
    """

    def __init__(self, message: object = "") -> None:
        text = str(message)
        super().__init__(text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} ...")


class WriteError(UserError):
    """A file that cannot be written: the disk is full, a limit reached, the folder read-only.

    It concerns all that is still to be written, not one input of several.
    """


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """A hint to append to an error: ` Did you mean 'epochs'?`, or `` when nothing is near.

    Hyphens, underscores and case do not count as differences.
    """
    names = {_plain(name): name for name in allowed}
    near = difflib.get_close_matches(_plain(word), names, n=1, cutoff=0.6)
    return f" Did you mean {names[near[0]]!r}?" if near else ""


def shown(value: Any) -> str:
    """A value of a file for an error: as Python writes it, shortened however long or deep it is."""
    return _SHORT.repr(value)


def _plain(word: str) -> str:
    return str(word).strip().lstrip("-").replace("-", "_").lower()
