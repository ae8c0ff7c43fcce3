"""Run one command as a process of its own: its output to the screen and into a log."""

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
from pathlib import Path
from types import FrameType

from configs.command import PARENT_VARIABLE

_PROGRESS_EVERY_S = 10.0  # of a progress bar's redrawn lines the log keeps one in this time
_GRACE_S = {signal.SIGINT: 30.0, signal.SIGTERM: 10.0}  # Lightning closes its files and stops its workers


class Terminated(KeyboardInterrupt):
    """The pipeline was asked to end (SIGTERM, SIGHUP)."""


def execute(command: list[str], log_path: Path, append: bool = False) -> int:
    """Run `command`, show its output, write it to `log_path`. Returns its exit status (128 + n for signal n).

    The command is the leader of its own process group. On Ctrl-C (or SIGTERM) it is asked to end once, given
    time to, then killed with all it started, and the KeyboardInterrupt goes on.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        PARENT_VARIABLE: str(os.getpid()),
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": str(shutil.get_terminal_size().columns),
    }
    with _signals_as_exceptions(), log_path.open("ab" if append else "wb") as log_file:
        log = _Log(log_file)
        log.line(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {shlex.join(command)}")
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            _relay(child, log)
        except KeyboardInterrupt as stop:
            _end(child, signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT, log)
            log.line("interrupted")
            raise
        finally:
            _kill_group(child)
            log.close()
        status = child.wait()
        return status if status >= 0 else 128 - status


def _relay(child: subprocess.Popen, log: _Log) -> None:
    """Pass the child's output on until it ends, also when something it started still holds the pipe."""
    while True:
        ended = child.poll() is not None
        ready, _, _ = select.select([child.stdout], [], [], 0.0 if ended else 0.5)
        chunk = os.read(child.stdout.fileno(), 65536) if ready else b""
        if chunk:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            log.write(chunk)
        elif ready or ended:
            child.wait()
            return


def _end(child: subprocess.Popen, number: signal.Signals, log: _Log) -> None:
    """Ask the child to end, and kill it when it does not, or when the user asks a second time."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
    deadline = time.monotonic() + _GRACE_S[number]
    try:
        while child.poll() is None and time.monotonic() < deadline:
            if select.select([child.stdout], [], [], 0.1)[0]:
                chunk = os.read(child.stdout.fileno(), 65536)
                log.write(chunk)
                if not chunk:
                    time.sleep(0.05)
    except KeyboardInterrupt:
        pass


def _kill_group(child: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()


@contextlib.contextmanager
def _signals_as_exceptions():
    """SIGTERM and SIGHUP end the pipeline like Ctrl-C does, so that the child is ended too."""

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

    def __init__(self, file) -> None:
        self._file = file
        self._rest = b""
        self._shown_at = time.monotonic()

    def line(self, text: str) -> None:
        self._file.write(text.encode() + b"\n")
        self._file.flush()

    def write(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            self._file.write(_last_state(line) + b"\n")
        *redrawn, self._rest = self._rest.split(b"\r")
        if redrawn and redrawn[-1].strip() and time.monotonic() - self._shown_at > _PROGRESS_EVERY_S:
            self._file.write(redrawn[-1] + b"\n")
            self._shown_at = time.monotonic()
        elif redrawn and not self._rest.strip():
            self._rest = redrawn[-1] + b"\r"  # a bar that ends in \r: keep its last state
        self._file.flush()

    def close(self) -> None:
        if self._rest.strip():
            self._file.write(_last_state(self._rest) + b"\n")


def _last_state(line: bytes) -> bytes:
    states = [state for state in line.split(b"\r") if state.strip()]
    return states[-1] if states else b""
