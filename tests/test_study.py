"""distill.study with fake stages: everything once, cut off and resumed, chosen cells, what is written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from configs.errors import UserError
from distill.pipeline.publish import locked
from distill.study.__main__ import report
from distill.study.expand import expand
from distill.study.recipe import load_study
from tests.fake_study import RUN, content, run, study

CELLS = [
    f"{name}.5.{seed}.json"
    for name in ("ear_detector.vae", "landmarker.both", "landmarker.twin")
    for seed in (0, 1)
]


def stage_runs() -> dict[str, str]:
    records = (RUN / "stages").glob("*/stage.json")
    return {path.parent.name: json.loads(path.read_text())["run"] for path in records}


def cells() -> list[str]:
    return sorted(path.name for path in (RUN / "cells").glob("*"))


def test_a_whole_study_and_then_only_its_analysis(study: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(study, jobs=2, budgets=("5",)) == RUN / "study.md"
    assert cells() == CELLS
    cell = json.loads((RUN / "cells/landmarker.both.5.1.json").read_text())
    assert list(cell)[:4] == ["model", "arm", "budget", "seed"]
    assert (cell["model"], cell["arm"], cell["budget"], cell["seed"]) == ("landmarker", "both", 5, 1)
    result = json.loads((RUN / "study.json").read_text())
    assert result["cells"]["there"] == 6
    assert len(result["cells"]["missing"]) == 4
    pair = result["models"]["landmarker"]["pairs"][0]
    assert (pair["arm"], pair["baseline"], pair["budget"], pair["seeds"]) == ("both", "twin", "5", [0, 1])
    assert pair["difference"] == pytest.approx(-20)
    assert pair["verdict"] == "BEATS"
    assert len(json.dumps(result)) < 40_000  # no arrays of images
    page = (RUN / "study.md").read_text()
    assert "| both against twin | " in page
    assert "BEATS" in page
    for name in ("curve_landmarker.png", "landmarks_landmarker.png", "curve_ear_detector.png"):
        assert (RUN / name).stat().st_size > 5000
    before = stage_runs()
    capsys.readouterr()
    with locked(RUN / "stages"):  # nothing is stale, so a study at work does not keep one from looking
        run(study, budgets=("5",))
    assert stage_runs() == before
    changed = content()
    changed["models"]["landmarker"]["arms"]["both"]["options"]["word"] = "other"
    study.write_text(yaml.safe_dump(changed))
    run(study, dry_run=True, budgets=("5",))
    plan = capsys.readouterr().out
    lines = [line for line in plan.splitlines() if line.startswith("run")]
    assert [line.split()[1] for line in lines] == [
        f"landmarker_both_5_seed{seed}{score}" for seed in (0, 1) for score in ("", "_score")
    ]
    assert "not chosen" not in plan  # the other stages of a study are hundreds


def test_a_study_cut_off_goes_on(study: Path, capsys: pytest.CaptureFixture) -> None:
    """The twin is killed: what does not need it is there, then it goes on from its own half."""
    plain = content()
    plain["models"]["landmarker"]["arms"]["twin"]["options"]["mode"] = "kill_once"
    study.write_text(yaml.safe_dump(plain))
    with pytest.raises(SystemExit) as stop:
        run(study, budgets=("5",), seeds=(0,))
    assert stop.value.code == 1
    said = capsys.readouterr()
    assert "error: stage landmarker_twin_5_seed0 failed with exit status 137" in said.err
    assert "error: stage landmarker_both_5_seed0 not run, it needs maps_5_seed0" in said.err
    assert cells() == ["ear_detector.vae.5.0.json"]
    missing = json.loads((RUN / "study.json").read_text())["cells"]["missing"]
    assert missing["landmarker.twin.5.0"] == "never ran"
    assert len(missing) == 9
    run(study, budgets=("5",), seeds=(0,))
    log = (RUN / "stages/logs/landmarker_twin_5_seed0.log").read_text()
    assert "resumed after 1 lines" in log
    assert cells() == [name for name in CELLS if name.endswith("0.json")]


def test_chosen_cells_and_what_is_missing(study: Path) -> None:
    with pytest.raises(UserError, match="no cell is finished yet"):
        report(load_study(study), *expand(load_study(study)))
    run(study, models=("landmarker",), arms=("twin",), budgets=("all",), seeds=(1,))
    assert cells() == ["landmarker.twin.all.1.json"]
    assert set(stage_runs()) == {"data", "landmarker_twin_all_seed1", "landmarker_twin_all_seed1_score"}
    page = (RUN / "study.md").read_text()
    assert "1 of 10 cells are there" in page
    assert "- landmarker.both, never ran: 5.0, " in page
    (RUN / "cells/left_over.json").write_text("{}")
    os.utime("outside.txt", (1, 1))  # touched, but the content is the same
    run(study, models=("landmarker",), arms=("twin",), budgets=("all",), seeds=(1,))
    assert cells() == ["landmarker.twin.all.1.json"]
    Path("outside.txt").write_text("other data")  # of which the cell that is there says nothing
    with pytest.raises(UserError, match="no cell is finished yet"):
        report(load_study(study), *expand(load_study(study)))
    assert not cells()


def test_requests_that_make_no_sense(study: Path) -> None:
    with pytest.raises(UserError, match="--jobs 0: at least 1"):
        run(study, jobs=0)
    with pytest.raises(UserError, match="Did you mean 'twin'"):
        run(study, arms=("tiwn",))
