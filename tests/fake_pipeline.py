"""A pipeline of fake stages, for the tests of `distill.run`: fixtures and what looks at a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from distill.run import Config, main

PROJECT = Path(__file__).resolve().parent.parent
FAKE = "tests.fake_stage"
RUN = Path("run")
STAGES = """
run_dir: run
seed: 1
stages:
  data: {command: tests.fake_stage, options: {inputs: [outside.txt], steps: 1}}
  teacher: {command: tests.fake_stage, options: {inputs: ["${data}/out.txt"], steps: 2}}
  student: {command: tests.fake_stage, options: {inputs: ["${teacher}/out.txt"], steps: 1}}
  detector: {command: tests.fake_stage, options: {inputs: ["${data}/out.txt"], steps: 1}}
"""
MEETING = """
run_dir: run
stages:
  first: {command: tests.fake_stage, options: {mode: meet, word: first, options: {other: second}}}
  second: {command: tests.fake_stage, options: {mode: meet, word: second, options: {other: first}}}
  after: {command: tests.fake_stage, options: {inputs: ["${first}/out.txt", "${second}/out.txt"]}}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data -> teacher -> student, and data -> detector, in the current folder. Nothing has run."""
    enter(tmp_path, monkeypatch)
    Path("outside.txt").write_text("from outside")
    Path("recipe.yaml").write_text(STAGES)
    return Path("recipe.yaml")


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(folder, monkeypatch)
        Path("outside.txt").write_text("from outside")
        Path("recipe.yaml").write_text(STAGES)
        run(Path("recipe.yaml"))
    return folder


@pytest.fixture
def finished(finished_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same recipe, all of it run."""
    shutil.copytree(finished_folder, tmp_path, dirs_exist_ok=True)
    enter(tmp_path, monkeypatch)
    return Path("recipe.yaml")


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))


def run(recipe: Path, *settings: str, **flags) -> None:
    main(Config(recipe, set=settings, **flags))


def plan(recipe: Path, capsys: pytest.CaptureFixture, *settings: str, **flags) -> dict[str, str]:
    """{stage: its line of --dry-run}."""
    capsys.readouterr()
    run(recipe, *settings, dry_run=True, **flags)
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[1]: " ".join([line.split()[0], *line.split()[2:]]) for line in lines}


def runs() -> dict[str, str]:
    """{published stage: id of the run that made it}."""
    records = RUN.glob("*/stage.json")
    return {path.parent.name: json.loads(path.read_text())["run"] for path in records}
