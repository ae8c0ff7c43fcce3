"""Files of strangers: every input that ever failed, and a few new ones, are read or are a UserError.

`python -m tests.fuzz --minutes 10` tries many more. What costs much to read is tried by itself at the end.
"""

from __future__ import annotations

import os
import resource
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.build import configured
from configs.errors import UserError
from configs.reading.content import parse_yaml, read_bytes, read_json, read_yaml
from data import prepare
from data.formats.yolo_sets.layout import read_layout
from data.images import read_image
from data.preparation.photographs import photographs_of
from tests.fuzz.campaign import CORPUS, fuzz
from tests.fuzz.guard import fault_of
from tests.fuzz.readers import PICTURES, READERS, YAML_BOMB

KEPT = sorted(path for path in CORPUS.rglob("*") if path.is_file())
IMPORT_TORCH = ("student", "teacher", "landmarker", "detector", "recipe", "study", "run_records")
QUICK = [name for name in READERS if name not in IMPORT_TORCH and not name.startswith("picture_")]


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("name", sorted({path.parent.name for path in KEPT}))
def test_what_once_failed_is_read_or_refused(name: str, where: Path) -> None:
    reader = READERS[name]
    reader.run(reader.valid(), where / name)  # so that what is kept fails for its own fault
    faults = {}
    for path in KEPT:
        if path.parent.name == name:
            content = path.read_bytes()
            faults[path.name] = fault_of(lambda content=content: reader.run(content, where / name))
    assert not {path: fault for path, fault in faults.items() if fault}


@pytest.mark.parametrize("name", QUICK)
def test_a_few_inputs_the_same_every_time(name: str, where: Path) -> None:
    found = fuzz(name, where / name, examples=4)
    assert found.inputs
    assert not found.faults


def test_the_fuzzer_finds_what_fails(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(path: Path) -> object:
        return read_json(path)["images"][0]["id"]

    monkeypatch.setattr("tests.fuzz.campaign.keep", lambda name, content: Path(name))
    monkeypatch.setitem(READERS, "coco", type(READERS["coco"])(**{**vars(READERS["coco"]), "read": careless}))
    assert fuzz("coco", where / "careless", examples=40).faults


def cheap(run: Callable[[], object]) -> str:
    """What a refusal says, which has to come within a second of work and 500 MB."""
    before_kb, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(UserError) as refused:
        run()
    assert time.process_time() - began < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 500_000
    return str(refused.value)


@pytest.mark.parametrize("name", [*PICTURES, "HEIC"])
def test_a_half_copied_image_is_refused_whatever_its_format(name: str, tmp_path: Path) -> None:
    whole = READERS[f"picture_{name.lower()}"].valid()
    path = tmp_path / "cut.img"
    for part in range(1, 20):
        path.write_bytes(whole[: len(whole) * part // 20])
        with pytest.raises(UserError, match=r"cut\.img: "):
            read_image(path)


def test_a_half_copied_image_is_dropped_and_listed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name in ("a.jp2", "b.qoi", "c.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    for name in ("a.jp2", "b.qoi"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    options = {"format": "crops", "val_fraction": 0, "test_fraction": 0, "num_workers": 0}
    folder = prepare.main(
        configured(prepare.Config, input=(tmp_path,), output_dir=tmp_path / "out", **options)
    )
    said = read_json(folder / "prepare.json")
    dropped = [Path(entry["examples"][0]).name for entry in said["dropped"]]
    assert sorted(dropped) == ["a.jp2", "b.qoi"]
    assert all("truncated or damaged" in entry["reason"] for entry in said["dropped"])


def test_pixels_count_by_what_their_conversion_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same size one of 8 bits is read, one of 16 is refused before it is decoded."""
    import cv2

    side = 1200
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((side, side, 3), np.uint16))
    cv2.imwrite(str(tmp_path / "flat.png"), np.zeros((side, side, 3), np.uint8))
    monkeypatch.setattr("data.images.MAX_MEMORY_BYTES", 12 * side * side)
    assert "16 bits a colour, shrink it first" in cheap(lambda: read_image(tmp_path / "deep.png"))
    assert read_image(tmp_path / "flat.png").shape == (side, side, 3)


def test_a_grey_image_of_16_bits_takes_little_beside_its_pixels(tmp_path: Path) -> None:
    """Whole in double precision, twice, it took 27 bytes a pixel."""
    side = 4000
    Image.new("I;16", (side, side)).save(tmp_path / "grey.tif")
    tracemalloc.start()
    assert read_image(tmp_path / "grey.tif").shape == (side, side, 3)
    assert tracemalloc.get_traced_memory()[1] < 9 * side * side
    tracemalloc.stop()


def test_pipes_and_devices_are_neither_waited_for_nor_read(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    for name in ("pipe.png", "pipe.json", "pipe.xml", "pipe.pts"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.jpg"):
        assert "no regular file but a pipe or device" in cheap(lambda name=name: read_image(tmp_path / name))
    for name in ("pipe.json", "pipe.xml", "pipe.pts"):
        words = cheap(lambda name=name: prepare.main(configured(prepare.Config, input=(tmp_path / name,))))
        assert "pipe" in words
    assert photographs_of(tmp_path)[0] == [str(tmp_path / "a.png")]
    (tmp_path / "data.yaml").write_text("train: /dev/zero\nnames: [ear]\n")
    assert "outside of" in cheap(lambda: read_layout(tmp_path / "data.yaml"))
    assert "no regular file" in cheap(lambda: read_layout(tmp_path / "data.yaml", Path("/dev")))


def test_a_file_without_end_and_one_of_nothing_but_zeros(tmp_path: Path) -> None:
    for size_bytes, words in ((2**40, "at most 1,073,741,824 are read"), (2**29, "nothing but zeros")):
        with (tmp_path / "sparse.json").open("wb") as file:
            file.truncate(size_bytes)
        assert words in cheap(lambda: read_json(tmp_path / "sparse.json"))
    assert "no regular file" in cheap(lambda: read_bytes("/dev/zero"))


def test_yaml_that_stands_for_more_than_it_says(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(YAML_BOMB)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for run in (read_yaml, read_layout):
        words = cheap(lambda run=run: run(tmp_path / "data.yaml"))
        assert words == f"{tmp_path / 'data.yaml'}: its aliases stand for more than 200,000 values."
    assert "contains itself" in cheap(lambda: parse_yaml("a: &a [*a]", "r.yaml"))
    assert parse_yaml("a: &a [1, 2]\nb: *a\n<<: {c: 3}", "r.yaml") == {"a": [1, 2], "b": [1, 2], "c": 3}


def test_json_that_lies_deeper_than_anybody_writes(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text('{"a": ' * 500 + "1" + "}" * 500)
    assert "deeper than 100" in cheap(lambda: read_json(path))
    path.write_text('["' + "[" * 500 + '"]')  # text, however many brackets it has
    assert read_json(path) == ["[" * 500]
