"""students.bench: percentiles and ratios by hand, parts that add up, the command on two sets of students."""

import json

import pytest

from configs.errors import UserError
from students import EarPipeline, bench
from students.benchmark import photographs
from students.benchmark.measure import all_parts, interleaved
from students.benchmark.photographs import photograph
from students.benchmark.table import milliseconds_table
from tests.tiny_students import tiny_files


def test_runs_take_turns_and_the_first_ones_do_not_count():
    order = []
    seconds = {"a": iter([9.0] * 3 + [0.001, 0.002, 0.003]), "b": iter([9.0] * 3 + [0.004] * 3)}

    def run(name):
        order.append(name)
        return {"whole": next(seconds[name])}

    found = interleaved({name: lambda name=name: run(name) for name in "ab"}, repeats=3)
    assert order == ["a", "b"] * 6
    assert found["a"]["whole"]["ms"] == pytest.approx(2)
    assert found["a"]["whole"]["ms_90"] == pytest.approx(2.8)
    assert found["b"]["whole"] == {"ms": pytest.approx(4), "ms_90": pytest.approx(4)}


def test_a_table_compares_with_its_first_row():
    rows = {"one": {"whole": {"ms": 2.0, "ms_90": 3.0}}, "many": {"whole": {"ms": 5.0, "ms_90": 6.0}}}
    assert milliseconds_table("512x512", rows).splitlines() == [
        "| 512x512 | whole |",
        "| :--- | ---: |",
        "| one | 2.00 (3.00) |",
        "| many | 5.00 (6.00, x2.50) |",
    ]


def test_the_ears_stand_where_the_photograph_says():
    scene, wide = photograph(640, 480, 1), photograph(1280, 960, 1)
    square = photograph(512, 512, 1)
    assert (scene.name, square.name) == ("640x480, 1 ear", "512x512, 1 ear")
    assert wide.boxes_xyxy == pytest.approx(2 * scene.boxes_xyxy, abs=1e-3)
    assert square.boxes_xyxy == pytest.approx(0.8 * scene.boxes_xyxy + [0, 64, 0, 64], abs=1e-3)
    assert (square.image[:60] == 114).all()


def test_the_parts_of_a_call_add_up_to_it():
    pipeline = EarPipeline.from_run(tiny_files(), threads=1, score_threshold=0.01)
    parts = all_parts(pipeline, photograph(320, 240, 1))()
    rest = parts["preparing"] + parts["networks"] + parts["postprocessing"]
    assert rest == pytest.approx(parts["whole call"])
    assert min(parts["networks"], parts["preparing"]) > 0
    assert parts["networks"] < parts["whole call"]


def test_the_command_measures_two_sets_in_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "SIZES", ((320, 240),))
    monkeypatch.setattr(photographs, "SEEDS", {1: 7005})
    run = tiny_files()
    against = run / "export" / "landmarker.onnx"
    output = bench.main(bench.Config(tmp_path / "out", students=run, against=against, repeats=1))
    names = ["students, one look", "students, many looks", "against, one look", "against, many looks"]
    results = json.loads((output / "bench.json").read_text())
    assert list(results["parts"]) == ["1 thread", "2 threads"]
    assert list(results["parts"]["1 thread"]) == names
    assert list(results["whole_calls"]["320x240, 1 ear"]) == names
    assert "| against, many looks |" in (output / "tables.md").read_text()
    with pytest.raises(UserError, match="repeats=0"):
        bench.Config(repeats=0)
    with pytest.raises(UserError, match=r"small.int8.onnx: which is the other.* detector.int8.onnx"):
        bench.main(bench.Config(tmp_path / "out", against=run / "small.int8.onnx"))
    with pytest.raises(UserError, match=r"detector.int8.onnx: no such file"):
        bench.main(bench.Config(tmp_path / "out", against=run / "export" / "landmarker.int8.onnx"))
