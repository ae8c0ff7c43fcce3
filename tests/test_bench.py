"""distill.bench: rows and goals by hand, measurements that notice what they measure, the command at its
smallest.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.errors import UserError
from configs.reading.content import read_json
from data.manifest import read_manifest
from distill.bench import __main__ as bench
from distill.bench import loading, parts, teacher
from distill.bench.apart import apart, timed, timed_together
from distill.bench.data import repeated_manifest
from distill.bench.table import Row, markdown
from distill.bench.teacher import PlainSam, Step

LIMITS = {
    "device": "a processor", "cores": 2, "threads": 2, "torch": "2", "matmul_fp32_flops": 1e11,
    "matmul_bf16_flops": 2e11,
}  # fmt: skip


def large_array(megabytes: int) -> dict[str, float]:
    return {"sum": float(np.ones(megabytes * 1_000_000, np.uint8).sum())}


def fails() -> dict[str, float]:
    raise ValueError("as asked")


def test_ratios_and_goals_by_hand():
    faster = Row("a", "images/s", 30.0, "b", 10.0, goal=2.5)
    assert (faster.ratio, faster.reached) == (3.0, True)
    smaller = Row("a", "MB", 30.0, "b", 10.0, less_is_better=True, goal=1)
    assert smaller.ratio == pytest.approx(1 / 3)
    assert smaller.reached is False
    assert Row("a", "s", 4.0, goal=5, less_is_better=True).reached is True
    assert Row("a", "images/s", 24.0, goal=25).reached is False
    assert Row("a", "s", 1.0).reached is None
    table = markdown([faster, smaller], LIMITS)
    assert "| 3.00x | 2.5 | a | 30 images/s | b | 10 images/s |  |" in table
    assert "1 (missed)" in table
    assert "matrix product 100 GFLOP/s in fp32, 200 in bf16" in table


def test_memory_is_the_functions_own_and_errors_come_through():
    small, large = apart(large_array, 1), apart(large_array, 200)
    assert large["sum"] == 200_000_000
    assert 190 < large["peak_mb"] - small["peak_mb"] < 260
    with pytest.raises(ValueError, match="as asked"):
        apart(fails)


def writes_its_number_and_waits(path: Path) -> dict[str, float]:
    path.with_suffix(".part").write_text(str(os.getpid()))
    path.with_suffix(".part").rename(path)
    time.sleep(600)
    return {}


def until(happened, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.1)
    return happened()


def test_a_measurement_does_not_outlive_a_killed_benchmark(tmp_path):
    command = (
        "from tests.test_bench import *; import sys; apart(writes_its_number_and_waits, Path(sys.argv[1]))"
    )
    benchmark = subprocess.Popen([sys.executable, "-c", command, str(tmp_path / "number")])
    assert until((tmp_path / "number").exists, seconds=120)
    measurement = Path("/proc") / (tmp_path / "number").read_text()
    assert measurement.exists()
    benchmark.kill()
    benchmark.wait()
    assert until(lambda: not measurement.exists(), seconds=20)


def test_the_median_step_counts_or_the_mean_but_never_the_first(monkeypatch):
    clock_s, step_s = [0.0], iter([9, 1, 1, 5, 9, 1, 3, 9, 2, 4, 4, 4])

    def step():
        clock_s[0] += next(step_s)

    monkeypatch.setattr(time, "perf_counter", lambda: clock_s[0])
    assert timed(step, repeats=3) == 1
    assert timed_together(step, repeats=2, warm_up=1) == 2
    assert timed(step, repeats=1, least_s=12) == 4  # 2, 4, 4, 4


def test_the_plain_teacher_is_the_same_teacher():
    sizes = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16,
        "window_size": 3, "global_attn_indexes": [1], "output_channels": 16, "mlp_ratio": 2.0,
        "input_size": 128,
    }  # fmt: skip
    plain = PlainSam(**sizes).eval()
    ours = teacher.SamBackbone(**sizes).eval()
    ours.load_state_dict(plain.state_dict())
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    torch.testing.assert_close(plain(images), ours(images), atol=1e-5, rtol=1e-4)


def test_a_repeated_manifest_names_every_ear_apart(rendered, tmp_path):
    source = rendered / "train_teacher.npy"
    found = read_manifest(repeated_manifest(source, tmp_path / "many.npy", rows=60))
    assert len(set(found.image_paths)) == 60
    assert np.array_equal(found.boxes_xyxy[:3], read_manifest(source).boxes_xyxy[:3])
    assert loading.loader_rate(tmp_path / "many.npy", True, 0, 1)["per_second"] > 0


def test_a_manifest_opens_within_a_kilobyte_an_ear():
    with tempfile.TemporaryDirectory(prefix="ears-") as name:  # each letter of a path takes four bytes an ear
        folder = Path(name)
        apart(loading.write_large_manifest, folder, 50_000)
        found = apart(loading.open_manifest, folder, 50_000)
        assert found["peak_mb"] < 50
        manifest = read_manifest(folder / "50000.npy")
        assert manifest.image_paths[7] == str(folder / "images/ears/photograph_0000007.jpg")
        assert manifest.sources[7] == "person_000002"


def test_the_command_writes_json_and_table(tmp_path, monkeypatch, capsys):
    small = Step(batch_size=1, blocks=2)
    monkeypatch.setitem(parts.PARTS, "render", lambda *_: [Row("ears", "images/s", 30.0, goal=25)])
    assert small.input_px == 256
    result = bench.main(bench.Config(output_dir=tmp_path, only=("render",), quick=True))
    content = read_json(result)
    assert content["rows"][0]["reached"] is True
    assert content["machine"]["matmul_fp32_flops"] > 0
    assert "| ears | 30 images/s |" in (tmp_path / "bench.md").read_text()
    assert "ears: 30 images/s" in capsys.readouterr().out
    with pytest.raises(UserError, match="Did you mean 'render'"):
        bench.main(bench.Config(output_dir=tmp_path, only=("renders",)))
