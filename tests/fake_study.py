"""A study of fake stages, for the tests of `distill.study`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from distill.study import expand
from distill.study.__main__ import Config, main
from tests.fake_pipeline import enter

RUN = Path("run")
STUDY = """
name: tiny
run_dir: run
seeds: [0, 1]
shared:
  data: {command: tests.fake_stage, options: {inputs: [outside.txt], steps: 1}}
  unused: {command: tests.fake_stage, options: {steps: 1}}
prepared:
  maps:
    command: tests.fake_stage
    options: {inputs: ["${ear_detector.vae}/out.txt", "${landmarker.twin}/out.txt"], steps: 1}
models:
  ear_detector:
    budgets: [5]
    arms:
      vae: {command: tests.fake_stage, options: {inputs: ["${data}/out.txt"], steps: 1}}
  landmarker:
    budgets: [5, all]
    arms:
      twin: {command: tests.fake_stage, options: &twin {inputs: ["${data}/out.txt"], steps: 2}}
      both: {command: tests.fake_stage, options: {<<: *twin, weights: "${maps}/out.txt"}}
    compare: [[both, twin]]
test: {ears_npy: "${data}/out.txt"}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its recipe, in the current folder; scores come from `tests.fake_score`. Nothing has run."""
    enter(tmp_path, monkeypatch)
    monkeypatch.setattr(expand, "SCORE", "tests.fake_score")
    Path("outside.txt").write_text("from outside")
    Path("study.yaml").write_text(STUDY)
    return Path("study.yaml")


def content() -> dict:
    """The recipe as plain values, to change some."""
    return yaml.safe_load(STUDY)


def run(recipe: Path, **flags) -> Path | None:
    return main(Config(recipe, **flags))
