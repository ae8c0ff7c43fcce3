"""distill.run: failed, killed, interrupted, published whole, and alone in its folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from configs.errors import UserError
from distill.pipeline.publish import locked
from tests.fake_pipeline import FAKE, RUN, finished, finished_folder, plan, recipe, run, runs

RUN_WITH_FAKES = """
from configs.command import run_command
from distill.pipeline.commands import STAGE_COMMANDS
from distill.run import Config, main
STAGE_COMMANDS.add("tests.fake_stage")
run_command(Config, main, "distill.run")
"""


def test_a_failing_stage_stops_the_pipeline(recipe: Path, capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        run(recipe, "teacher.mode=fail")
    assert stop.value.code == 7
    assert set(runs()) == {"data"}
    error = capfd.readouterr().err
    assert "stage teacher failed with exit status 7" in error
    assert str(RUN / "logs/teacher.log") in error


def test_a_failed_rerun_leaves_the_published_output(finished: Path) -> None:
    before = runs()
    with pytest.raises(SystemExit):
        run(finished, "teacher.mode=user_error")
    assert runs() == before
    assert "mode" not in (RUN / "teacher/out.txt").read_text()


def test_killed_then_resumed(recipe: Path, capsys: pytest.CaptureFixture) -> None:
    settings = ("teacher.mode=kill_once", "teacher.steps=3")
    with pytest.raises(SystemExit) as stop:
        run(recipe, *settings, until="teacher")
    assert stop.value.code == 128 + signal.SIGKILL
    folder = RUN
    assert not (folder / "teacher").exists()
    assert plan(recipe, capsys, *settings)["teacher"] == "run was cut off; goes on where it was cut off"
    run(recipe, *settings, until="teacher")
    log = (folder / "logs/teacher.log").read_text()
    assert "resumed after 1 lines" in log
    assert log.count(FAKE) == 2  # the log of the first try is kept
    assert (
        (folder / "teacher/out.txt").read_text().startswith("hello 0 seed 1\nhello 1 seed 1\nhello 2 seed 1")
    )


def test_what_was_cut_off_is_dropped_when_it_asks_for_something_else(recipe: Path) -> None:
    with pytest.raises(SystemExit):
        run(recipe, "teacher.mode=kill_once", "teacher.word=before", until="teacher")
    run(recipe, "teacher.word=after", until="teacher")
    folder = RUN
    assert "before" not in (folder / "teacher/out.txt").read_text()
    assert "resumed" not in (folder / "logs/teacher.log").read_text()


def test_a_publication_that_was_cut_off_is_completed(finished: Path, capsys: pytest.CaptureFixture) -> None:
    before = runs()
    folder = RUN
    (folder / "teacher").rename(
        folder / ".work/teacher"
    )  # finished, and the old one moved away: killed there
    (folder / ".work/teacher.old").mkdir()
    run(finished)
    assert runs() == before
    assert not (folder / ".work/teacher.old").exists()


def test_a_folder_made_by_hand_is_not_replaced(recipe: Path) -> None:
    folder = RUN
    (folder / "teacher").mkdir(parents=True)
    (folder / "teacher/out.txt").write_text("by hand")
    with pytest.raises(UserError, match="was not made by the pipeline.*--adopt teacher"):
        run(recipe)
    assert (folder / "teacher/out.txt").read_text() == "by hand"
    run(recipe, adopt=("teacher",))
    run(recipe)
    assert "by hand" in (folder / "student/out.txt").read_text()


def test_two_runs_in_one_folder(recipe: Path) -> None:
    folder = RUN
    with locked(folder), pytest.raises(UserError, match="another run is at work in this folder.*--run-dir"):
        run(recipe)
    run(recipe, until="data")  # free again


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_stage_too(recipe: Path, number: signal.Signals, status: int) -> None:
    process, child = start_and_wait(recipe)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == status
    assert "interrupted in stage teacher: the same command again goes on" in out
    assert not is_running(child)


def test_a_killed_pipeline_takes_its_stage_along(recipe: Path) -> None:
    process, child = start_and_wait(recipe)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)
    run(recipe, "teacher.mode=wait", until="teacher")  # the lock is free, and the stage goes on
    assert "resumed after 1 lines" in (RUN / "logs/teacher.log").read_text()


def start_and_wait(recipe: Path) -> tuple[subprocess.Popen, int]:
    """A pipeline as a process of its own, once its stage `teacher` is at work; and the stage's process id."""
    command = [sys.executable, "-c", RUN_WITH_FAKES, str(recipe), "--set", "teacher.mode=wait"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # a test run in a shell's background ignores interrupts, and its children would too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    partial = RUN / ".work/teacher/partial.txt"
    while not partial.exists():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    return process, int(children[0])


def is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
