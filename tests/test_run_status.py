"""What distill.run says of a run: beside one that is at work, of one that was cut off, with --status."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from configs.command import run_command
from configs.errors import UserError
from data.images import read_image
from distill.pipeline.live import LiveRun, duration, live_run, say_live
from distill.pipeline.publish import locked
from tests.fake_pipeline import RUN, finished, finished_folder, plan, recipe, run
from tests.fake_stage import Config


def status(recipe: Path, capsys: pytest.CaptureFixture) -> tuple[str, dict[str, str]]:
    """The first line of --status, and what stands behind each stage's name."""
    capsys.readouterr()
    run(recipe, status=True)
    head, *lines = capsys.readouterr().out.splitlines()
    return head, {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in lines}


def test_a_plan_beside_a_live_run_says_so(finished: Path, capsys: pytest.CaptureFixture) -> None:
    run(finished, dry_run=True)
    assert "at work" not in capsys.readouterr().err
    with locked(RUN):
        say_live(RUN, [("teacher", time.time() - 125)])
        run(finished, dry_run=True)
        said = capsys.readouterr()
        assert f"a run is at work here (process {os.getpid()} on " in said.err
        assert "at work on teacher since 2 min 5 s" in said.err
        assert "skip data" in said.out
        with pytest.raises(
            UserError, match=r"another run is at work in this folder \(process \d+ on .* teacher"
        ):
            run(finished)
    assert live_run(RUN) is None
    assert not (RUN / ".work/live.json").exists()


def test_what_a_killed_run_wrote_is_not_believed(finished: Path) -> None:
    (RUN / ".work/live.json").write_text('{"process": 1, "host": "a", "began": {"teacher": 0}}')
    assert live_run(RUN) is None


def test_a_stage_cut_off_before_its_first_checkpoint(recipe: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        run(recipe, "teacher.mode=kill_once", until="teacher")
    cut_off = plan(recipe, capsys, "teacher.mode=kill_once")["teacher"]
    assert cut_off == "run was cut off; goes on where it was cut off"
    (RUN / ".work/teacher/partial.txt").unlink()
    cut_off = plan(recipe, capsys, "teacher.mode=kill_once")["teacher"]
    assert cut_off == "run was cut off; starts anew, for it was cut off before its first checkpoint"


def test_status_of_stages(finished: Path, capsys: pytest.CaptureFixture) -> None:
    text = Path("recipe.yaml").read_text()
    more = "".join(f"  {name}: {{command: tests.fake_stage}}\n" for name in ("later", "cut", "hand"))
    Path("recipe.yaml").write_text(text + more)
    record = json.loads((RUN / "data/stage.json").read_text())
    record |= {
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() - 7200)),
        "seconds": 75,
    }
    (RUN / "data/stage.json").write_text(json.dumps(record))
    for item in (RUN / "teacher").iterdir():
        if item.name != "stage.json":
            item.unlink()
    (RUN / "teacher/weights").write_bytes(bytes(1_500_000))
    (RUN / ".work/cut").mkdir(parents=True)
    (RUN / ".work/cut/partial.txt").write_text("x" * 12)
    (RUN / "hand").mkdir()
    head, stages = status(finished, capsys)
    assert head == "run: nothing is at work"
    assert re.fullmatch(r"\d+ B  finished 2 h 0 min ago, took 1 min 15 s", stages["data"])
    assert stages["teacher"].startswith("1.5 MB  finished ")
    assert stages["later"] == "never ran"
    assert re.fullmatch(r"12 B  cut off \d+\.\d s ago", stages["cut"])
    assert stages["hand"].startswith("0 B  made by hand ")
    with locked(RUN):
        say_live(RUN, [("cut", time.time() - 3700)])
        head, stages = status(finished, capsys)
    assert f"a run is at work: process {os.getpid()}" in head
    assert re.fullmatch(r"12 B  running for 1 h 1 min, wrote \d+\.\d s ago", stages["cut"])


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.25, "3.2 s"), (60, "1 min 0 s"), (3599.6, "1 h 0 min"), (90_000, "1 d 1 h")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_live_run_between_stages() -> None:
    assert str(LiveRun(7, "here", {})) == "process 7 on here, at work on its plan"


class Photographs:
    """A data set one of whose photographs has gone."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> object:
        return read_image("photos/gone.jpg")


def test_a_photograph_that_vanishes_under_a_loader_is_named(capsys: pytest.CaptureFixture) -> None:
    def train(config: Config) -> None:
        next(iter(DataLoader(Photographs(), num_workers=1)))

    with pytest.raises(SystemExit) as stop:
        run_command(Config, train, "tests.fake_stage", ["--output-dir", "a"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip() == "error: photos/gone.jpg: no such image."
