"""The one error for what a user can cause, and the hint for a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something a user can cause and mend: says what was found, where, what is allowed and what to do.

    Commands print it as `error: ...` without a traceback and exit with 2 (`configs.command`).
    """


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


def _plain(word: str) -> str:
    return str(word).strip().lstrip("-").replace("-", "_").lower()
