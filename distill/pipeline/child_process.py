"""Commands as processes of their own: their output into logs, and to the screen if wanted."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from configs.files import full_disk_is_a_user_error, write_error
from configs.processes.lifetime import PARENT_VARIABLE

_PROGRESS_EVERY_S = 10.0  # of a progress bar's redrawn lines the log keeps one in this time
_GRACE_S = {signal.SIGINT: 30.0, signal.SIGTERM: 10.0}  # Lightning closes its files and stops its workers
_POLL_S = 0.5


class Terminated(KeyboardInterrupt):
    """The pipeline was asked to end (SIGTERM, SIGHUP)."""


class Child:
    """A command under way, the leader of its own process group; its output goes to `log_path`.

    shown: also to the screen. append: to the log of an earlier try. variables: over the environment.
    """

    def __init__(
        self,
        command: Sequence[str],
        log_path: Path,
        append: bool = False,
        shown: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        with full_disk_is_a_user_error(log_path):
            log_path.parent.mkdir(parents=True, exist_ok=True)
            if log_path.is_symlink():
                log_path.unlink()
            self._file = log_path.open("ab" if append else "wb", buffering=0)
        self._shown, self.log = shown, _Log(self._file, log_path)
        self.log.line(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {shlex.join(command)}")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ
            | {
                PARENT_VARIABLE: str(os.getpid()),
                "PYTHONUNBUFFERED": "1",
                "COLUMNS": str(shutil.get_terminal_size().columns),
            }
            | dict(variables or {}),
            start_new_session=True,
        )

    def fileno(self) -> int:
        """Of the pipe it writes to, for `select`."""
        return self._process.stdout.fileno()

    def relay(self, shown: bool | None = None) -> bool:
        """Pass on what it has written; True once it has ended and all is passed on.

        Does not wait for something that it started and that still holds the pipe.
        """
        ended = self._process.poll() is not None
        ready = bool(select.select([self], [], [], 0.0)[0])
        chunk = os.read(self.fileno(), 65536) if ready else b""
        if chunk:
            if self._shown if shown is None else shown:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            self.log.write(chunk)
            return False
        if ready or ended:
            self._process.wait()
            return True
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def close(self) -> int:
        """Kill what is left of it. Returns its exit status, 128 + n for signal n."""
        with contextlib.suppress(PermissionError):
            self.signal(signal.SIGKILL)
        status = self._process.wait()
        self._process.stdout.close()
        self.log.close()
        self._file.close()
        return status if status >= 0 else 128 - status


def wait_for_output(children: Sequence[Child]) -> None:
    """Until one of them has written something, at most half a second."""
    select.select(children, [], [], _POLL_S)


def end(children: Sequence[Child], stop: KeyboardInterrupt) -> None:
    """Ask them to end once, give them time to, then kill them, also when the user asks a second time."""
    number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
    for child in children:
        child.signal(number)
    deadline, at_work = time.monotonic() + _GRACE_S[number], list(children)
    with contextlib.suppress(KeyboardInterrupt):
        while at_work and time.monotonic() < deadline:
            select.select(at_work, [], [], 0.1)
            at_work = [child for child in at_work if not child.relay(shown=False)]
    for child in children:
        child.log.line("interrupted")
        child.close()


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGTERM and SIGHUP end the pipeline like Ctrl-C does, so that the children are ended too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated(signal.Signals(number).name)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Log:
    """A log that keeps lines, and of a redrawn progress line (`\\r`) the last state and one now and then."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._is_full = False
        self._rest = b""
        self._shown_at = time.monotonic()

    def line(self, text: str) -> None:
        self._put(text.encode() + b"\n")

    def write(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            self._put(_last_state(line) + b"\n")
        *redrawn, self._rest = self._rest.split(b"\r")
        if redrawn and redrawn[-1].strip() and time.monotonic() - self._shown_at > _PROGRESS_EVERY_S:
            self._put(redrawn[-1] + b"\n")
            self._shown_at = time.monotonic()
        elif redrawn and not self._rest.strip():
            self._rest = redrawn[-1] + b"\r"  # a bar that ends in \r: keep its last state

    def close(self) -> None:
        if self._rest.strip():
            self._put(_last_state(self._rest) + b"\n")

    def _put(self, line: bytes) -> None:
        """A log that cannot grow is no reason to end what is logged."""
        if self._is_full:
            return
        try:
            self._file.write(line)
        except OSError as error:
            self._is_full = True
            print(f"note: {write_error(error, self._path) or error}", file=sys.stderr, flush=True)


def _last_state(line: bytes) -> bytes:
    states = [state for state in line.split(b"\r") if state.strip()]
    return states[-1] if states else b""
