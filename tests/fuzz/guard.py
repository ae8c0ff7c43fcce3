"""One input through one reader, under limits of time and memory: what went wrong, in a line."""

from __future__ import annotations

import contextlib
import io
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from configs.errors import UserError

MOST_S = 5.0  # of the processor
MOST_WAITING_S = 60.0  # by the clock, for a reader that waits for what never comes
MOST_BYTES = 2**30
LONGEST_MESSAGE = 4000  # characters that a person may be shown


class TooLong(BaseException):
    """No `except Exception` of a reader may take it."""


def fault_of(run: Callable[[], object]) -> str:
    """Why `run` failed: it raised another error than UserError, or took too long or too much memory; "" where
    it did not.
    """
    before = _reset_peak()
    said, shown = io.StringIO(), ""
    try:
        with _time_limit(), warnings.catch_warnings(), contextlib.redirect_stdout(said):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(said):
                run()
    except UserError as error:
        shown = str(error)
    except TooLong:
        return f"took more than {MOST_S:g} s"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in where if "site-packages" not in frame.filename]
        last = ours[-1] if ours else where[-1]
        return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno} {last.name}: {error}"[
            :300
        ]
    grown = _peak() - before
    if grown > MOST_BYTES:
        return f"took {grown:,} bytes"
    return f"a message of {len(shown):,} characters" if len(shown) > LONGEST_MESSAGE else ""


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLong

    limits = (
        (signal.ITIMER_PROF, signal.SIGPROF, MOST_S),
        (signal.ITIMER_REAL, signal.SIGALRM, MOST_WAITING_S),
    )
    before = [(number, signal.signal(number, stop)) for _, number, _ in limits]
    for timer, _, seconds in limits:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _, _ in limits:
            signal.setitimer(timer, 0)
        for number, handler in before:
            signal.signal(number, handler)


def _reset_peak() -> int:
    """Bytes in use now, from which the peak counts on."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """The most bytes in memory since `_reset_peak`; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 0
