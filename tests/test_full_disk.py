"""Full disks, files that may not grow, folders that are read-only, each a real one: a sentence, no leftovers,
and the same command goes on afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from configs.command import run_command
from configs.errors import UserError, WriteError
from configs.files import write_atomic, write_json
from data.draw import write_picture
from data.formats import write_annotations
from data.manifest import Manifest, write_manifest
from distill.pipeline.child_process import Child
from students.inference import pipeline
from students.inference.video import VideoFile
from students.predict import Config, main
from teacher.checkpoint import write_torch
from tests import fake_stage

PROJECT = Path(__file__).resolve().parent.parent
LIMIT = 20_000  # bytes a file may have
NOISE = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
ON_A_FULL_DISK = """
import sys
import numpy as np
from pathlib import Path
from configs.errors import WriteError
from configs.files import write_bytes, write_json, write_atomic
from data.manifest import Manifest, write_manifest

folder = Path(sys.argv[1])
write_json(folder / "old.json", {"old": 1})
many = Manifest(np.array([f"/photo{n}.jpg" for n in range(40000)]), np.tile([0, 0, 9, 9], (40000, 1)))
def save(write):
    try:
        write()
    except WriteError as error:
        print(error)
save(lambda: write_json(folder / "old.json", ["x" * 2_000_000]))
save(lambda: write_manifest(folder / "a.npy", many))
save(lambda: write_atomic(folder / "b.npz", lambda path: np.savez(path, a=np.zeros(300_000))))
save(lambda: write_bytes(folder / "new" / "c.bin", bytes(2_000_000)))
print(sorted(str(path.relative_to(folder)) for path in folder.rglob("*")), (folder / "old.json").read_text())
"""


@contextlib.contextmanager
def small_files(limit: int = LIMIT) -> Iterator[None]:
    """As in a shell after `ulimit -f`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_video(path: Path) -> None:
    video = VideoFile(path, frames_per_s=10)
    for seed in range(20):
        video.add(np.random.default_rng(seed).integers(0, 256, (96, 128, 3), dtype=np.uint8))
    video.close()


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.json": lambda path: write_json(path, ["x" * 100_000]),
    "a.npy": lambda path: write_manifest(
        path, Manifest(np.array(["/photo.jpg"] * 2000), np.tile([0, 0, 9, 9], (2000, 1)))
    ),
    "a.npz": lambda path: write_atomic(path, lambda temporary: np.savez(temporary, a=np.zeros(10_000))),
    "a.png": lambda path: write_picture(path, NOISE),
    "b.png": lambda path: write_atomic(path, Image.fromarray(NOISE).save),
    "a.ckpt": lambda path: write_torch(path, {"state_dict": {"a": torch.zeros(10_000)}}),
    "a.mp4": write_video,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_may_not_grow_so_large(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with small_files(), pytest.raises(WriteError, match=rf"{name}: .*bytes are needed.* 20,000.*ulimit -f"):
        WRITERS[name](path)
    assert list(tmp_path.iterdir()) == []
    WRITERS[name](path)
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_what_is_needed_is_said_where_it_is_known(tmp_path: Path) -> None:
    with small_files(), pytest.raises(WriteError, match=r"a\.json: 100,0\d\d bytes are needed"):
        WRITERS["a.json"](tmp_path / "a.json")
    with small_files(), pytest.raises(WriteError, match=r"a\.ckpt: 40,000 bytes are needed"):
        WRITERS["a.ckpt"](tmp_path / "a.ckpt")


def large_manifest(folder: Path) -> Manifest:
    """An ear with more points, and a photograph with more ears, than the limit has room for."""
    Image.fromarray(NOISE).save(folder / "photo.png")
    paths, boxes = np.array([str(folder / "photo.png")] * 900), np.tile([0, 0, 9, 9], (900, 1))
    return Manifest(paths, boxes, np.full((900, 2000, 2), 3.5, np.float32))


@pytest.mark.parametrize("to", ["pts", "yolo", "yolo-pose"])
def test_a_folder_is_whole_or_not_there(tmp_path: Path, to: str) -> None:
    manifest = large_manifest(tmp_path)
    (tmp_path / "here").mkdir()
    for name in ("here/out", "there"):
        with small_files(), pytest.raises(WriteError, match=r"(out|there): .*bytes are needed.*ulimit -f"):
            write_annotations(tmp_path / name, manifest, to)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["here", "photo.png"]
    for name in ("here", "there"):  # an empty folder may be there
        written = write_annotations(tmp_path / name, manifest.select([0, 1]), to)
        assert written == tmp_path / name
        assert {path.suffix for path in written.rglob("*.*")} >= {".png", ".pts" if to == "pts" else ".yaml"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "photo.png", "there"]


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """A disk of 1 MB of its own, where the system lets a test have one."""
    (tmp_path / "disk").mkdir()
    mount = 'mount -t tmpfs -o size=1m none disk && exec "$@"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh"]
    try:
        subprocess.run([*command, "true"], cwd=tmp_path, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system lets nobody mount a disk of their own")
    run = subprocess.run(
        [*command, sys.executable, "-c", ON_A_FULL_DISK, "disk"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    said = run.stdout.splitlines()
    for line, (name, needed) in zip(
        said,
        [
            ("old.json", "2,000,00"),
            ("a.npy", "more than "),
            ("b.npz", "more than "),
            ("new/c.bin", "2,000,000"),
        ],
    ):
        assert f"disk/{name}: the disk is full" in line
        assert f"{needed}" in line
        assert "bytes needed, 1,04" in line  # nearly the whole of 1,048,576 is free again
    assert said[4].startswith("['new', 'old.json'] {")
    assert '"old": 1' in run.stdout


def test_any_command_says_it_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def careless(config: fake_stage.Config) -> None:
        (tmp_path / "log.txt").write_text("x" * 100_000)

    with small_files(), pytest.raises(SystemExit) as stop:
        run_command(fake_stage.Config, careless, "tests.fake_stage", ["--output-dir", str(tmp_path)])
    assert stop.value.code == 2
    assert "no file may be larger than 20,000 bytes" in capsys.readouterr().err


def test_a_log_that_cannot_grow_ends_nothing(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    words = [sys.executable, "-c", "for n in range(3000): print('a line of some length', n)\nprint('end')"]
    with small_files():
        child = Child(words, tmp_path / "a.log", shown=False)
        while not child.relay():
            pass
        assert child.close() == 0
    assert capfd.readouterr().err.count("a.log: more bytes are needed") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    def as_nobody() -> None:
        os.chmod(tmp_path, 0o555)
        os.seteuid(65534)
        try:
            with pytest.raises(WriteError, match=r"a\.json: cannot be written \(Permission denied\)"):
                write_json(tmp_path / "a.json", 1)
        finally:
            os.seteuid(0)

    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder.name.startswith("pytest"):
            os.chmod(folder, 0o755)
    as_nobody()
    assert list(tmp_path.iterdir()) == []


class NoEars:
    """A pipeline that finds nothing."""

    curves: ClassVar = {}
    landmark_names: ClassVar = ["a"]

    def __call__(self, rgb: np.ndarray) -> list:
        return []


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four small photographs, in which a fast pipeline finds nothing."""
    monkeypatch.setattr(pipeline, "open_pipeline", lambda *_: NoEars())
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (120, 96)).save(folder / f"{number}.png")
    return folder


def test_predict_goes_on_where_the_disk_was_full(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    config = Config(inputs=(str(photographs),), output_dir=out)
    Image.fromarray(np.tile(NOISE, (8, 8, 1))).save(photographs / "2.png")  # its overlay is too large
    with small_files(150_000), pytest.raises(WriteError, match=r"2_ears\.jpg: .*ulimit -f"):
        main(config)
    assert sorted(path.name for path in out.rglob("*.*")) == ["0_ears.jpg", "1_ears.jpg", "predictions.json"]
    cut_off = json.loads((out / "predictions.json").read_text())
    assert [Path(record["path"]).name for record in cut_off["inputs"]] == ["0.png", "1.png"]
    first_overlay = (out / "overlays/0_ears.jpg").stat().st_mtime_ns
    main(config)
    assert "goes on after 2 of 4 inputs" in capsys.readouterr().out
    result = json.loads((out / "predictions.json").read_text())
    assert [Path(record["path"]).name for record in result["inputs"]] == [f"{n}.png" for n in range(4)]
    assert "unfinished" not in result
    assert (out / "overlays/0_ears.jpg").stat().st_mtime_ns == first_overlay
    with pytest.raises(UserError, match="is not empty"):  # finished results are nobody's to replace
        main(config)


def test_predict_with_other_settings_does_not_go_on(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = {"inputs": (str(photographs),), "output_dir": out, "overlays": False}
    main(Config(**words))
    content = json.loads((out / "predictions.json").read_text())
    write_json(out / "predictions.json", content | {"unfinished": {"score_threshold": 0.9}})
    with pytest.raises(UserError, match="is not empty"):
        main(Config(**words))


def test_a_video_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "a.mp4", frames_per_s=10)
    video.add(NOISE)
    video.discard()
    assert list(tmp_path.iterdir()) == []
