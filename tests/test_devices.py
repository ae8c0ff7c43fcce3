"""Two processes (DDP, gloo on the CPU), started by Lightning: they reach what one process reaches."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from configs.build import with_options
from configs.flags import to_flags
from configs.reading.content import read_json
from distill.teacher_maps.store import KeptMaps
from tests.test_cache import _config as cache_config
from tests.test_cache import ears  # noqa: F401  a fixture
from tests.test_distill_train import _detector, _landmarker, kept  # noqa: F401  a fixture
from tests.test_teacher_commands import train_config

pytestmark = [pytest.mark.slow, pytest.mark.trains, pytest.mark.timeout(900)]


def run(command, config):
    """What `python -m COMMAND` with the flags of `config` prints."""
    words = [sys.executable, "-m", command, *to_flags(config)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("result: ") == 1, "one process speaks"
    return done.stdout


def last_row(folder):
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))[-1]


@pytest.mark.parametrize("prefix", [False, True], ids=["live", "kept prefix"])
def test_the_teacher(rendered, tmp_path, prefix):
    config = train_config(rendered, tmp_path / "one", freeze_layers=1, train_views=2, epochs=3)
    run("teacher.train", config)
    folder = tmp_path / "two"
    kept_in = folder / "prefix" if prefix else None
    run("teacher.train", with_options(config, output_dir=folder, devices=2, batch_size=4, prefix_dir=kept_in))
    one, two = last_row(tmp_path / "one"), last_row(folder)
    assert one["step"] == two["step"], "as many steps of as many ears"
    assert float(two["val/psnr"]) == pytest.approx(float(one["val/psnr"]), abs=0.3)
    assert read_json(folder / "metrics.json")["epochs"] == 3


def test_kept_maps(ears, tmp_path):  # noqa: F811
    for name, devices in (("one", 1), ("two", 2)):
        run("tests.small_shards", cache_config(ears, tmp_path / name, devices=devices))
    one, two = KeptMaps(tmp_path / "one"), KeptMaps(tmp_path / "two")
    two.verify()
    assert np.array_equal(one.view_crc32, two.view_crc32)
    np.testing.assert_allclose(one.std, two.std, rtol=1e-3)
    for row in range(5):
        np.testing.assert_allclose(one.read(row, 3), two.read(row, 3), atol=2e-3)


@pytest.mark.parametrize("student", ["landmarker", "detector"])
def test_the_students(kept, tmp_path, student):  # noqa: F811
    make = _landmarker if student == "landmarker" else _detector
    for name, devices in (("one", 1), ("two", 2)):
        run("distill.train", make(kept, tmp_path / name, devices=devices, batch_size=4))
    one, two = last_row(tmp_path / "one"), last_row(tmp_path / "two")
    assert one["step"] == two["step"]
    measure = "val/nme" if student == "landmarker" else "val/ap"
    assert float(two[measure]) == pytest.approx(float(one[measure]), rel=0.15, abs=0.05)
    assert (tmp_path / "two" / "student.pt").is_file()
    assert (
        read_json(tmp_path / "two" / "metrics.json")["images"]
        == read_json(tmp_path / "one" / "metrics.json")["images"]
    )
