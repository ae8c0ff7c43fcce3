"""The package `pinna`: gathered from the checkout it reads as the checkout does, and needs little."""

from __future__ import annotations

import email
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hatchling.builders.wheel import WheelBuilder
from PIL import Image

from configs.errors import UserError
from data.formats.rules.annotation_files import json_dialect
from data.images import read_image as read_by_pillow
from data.render.scene.scene import render_scene
from hatch_build import FLOORS, gather
from pinna.__main__ import main
from pinna.images import read_image
from students import EarPipeline, EarTracker
from students.inference.overlay import draw_ears
from students.inference.records import ear_records
from tests.test_structure import ALL_HEAVY, PROJECT

NEEDED = {"numpy", "cv2", "onnxruntime"}
MOST_WHEEL_BYTES = 5_000_000
FOREIGN = sorted(ALL_HEAVY - NEEDED | {"pi_heif", "defusedxml", "imagehash", "hatchling"})
READ = f"""
import json, sys
sys.modules |= dict.fromkeys({FOREIGN!r})  # an import of one raises
folder, photograph, overlay = sys.argv[1:]
sys.path.insert(0, folder)
import pinna
loaded = sorted({NEEDED!r} & sys.modules.keys())
rgb = pinna.read_image(photograph)
ears = pinna.EarPipeline.pretrained(threads=1)(rgb)
tracker = pinna.EarTracker(pinna.EarPipeline.pretrained(threads=1, looks="one"))
tracked = [ear for time_s in (0, 0.04) for ear in tracker(rgb, time_s)]
from pinna.__main__ import main
assert main([photograph, "--overlay", overlay]) == 0, "the command"
kept = {FLOORS!r}
print(json.dumps({{
    "loaded_by_the_import": loaded,
    "from_elsewhere": [name for name in sys.modules if name.split(".")[0] in kept],
    "ears": [[*ear.box_xyxy.tolist(), *ear.points_px.ravel().tolist(), ear.score] for ear in ears],
    "tracked": [[ear.identity, *ear.points_px.ravel().tolist()] for ear in tracked],
}}))
"""


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """(480, 640, 3) uint8 with three ears."""
    return render_scene(7023, image_px=(480, 640)).image


@pytest.fixture
def photograph(scene: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "ears.png"
    Image.fromarray(scene).save(path)
    return path


@pytest.fixture(scope="module")
def pipeline() -> EarPipeline:
    return EarPipeline.pretrained(threads=1)


def test_the_package_alone_reads_as_the_checkout_does(
    scene: np.ndarray, photograph: Path, pipeline: EarPipeline, tmp_path: Path
) -> None:
    gather(PROJECT, tmp_path / "pinna")
    words = [sys.executable, "-I", "-c", READ, tmp_path, photograph, tmp_path / "drawn.png"]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    spoken, found = ran.stdout.splitlines()[:-1], json.loads(ran.stdout.splitlines()[-1])
    assert spoken[0] == f"{photograph}: 3 ears" and len(spoken) == 4
    assert not found["loaded_by_the_import"] and not found["from_elsewhere"]
    ears = pipeline(scene)
    expected = [[*ear.box_xyxy, *ear.points_px.ravel(), ear.score] for ear in ears]
    assert len(expected) == 3
    np.testing.assert_allclose(found["ears"], expected, rtol=0, atol=1e-3)
    tracker = EarTracker(EarPipeline.pretrained(threads=1, looks="one"))
    tracked = [ear for time_s in (0, 0.04) for ear in tracker(scene, time_s)]
    expected = [[ear.identity, *ear.points_px.ravel()] for ear in tracked]
    np.testing.assert_allclose(found["tracked"], expected, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(read_by_pillow(tmp_path / "drawn.png"), draw_ears(scene, ears))


def test_the_wheel_holds_pinna_and_nothing_else(tmp_path: Path) -> None:
    (path,) = WheelBuilder(str(PROJECT)).build(directory=str(tmp_path), versions=["standard"])
    assert Path(path).stat().st_size < MOST_WHEEL_BYTES
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        (about,) = (name for name in names if name.endswith("dist-info/METADATA"))
        metadata = email.message_from_bytes(wheel.read(about))
        scripts = wheel.read(about.replace("METADATA", "entry_points.txt")).decode()
    info = about.split("/")[0]
    assert {name.split("/")[0] for name in names} == {"pinna", info}
    for kind in ("detector", "landmarker"):
        assert f"pinna/students/pretrained/{kind}.onnx" in names
    assert not [name for name in names if name.endswith((".pt", ".yaml"))]
    assert "pinna = pinna.__main__:main" in scripts
    requires = metadata.get_all("Requires-Dist")
    needed = {words.split(">=")[0] for words in requires if ";" not in words}
    assert needed == {"numpy", "onnxruntime", "opencv-python-headless"}
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    pinned = {line.lower().replace("_", "-") for line in lines if line and not line.startswith("#")}
    assert {words.split(";")[0].strip() for words in requires if "extra == 'train'" in words} == pinned


def test_what_cannot_be_gathered_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pinna").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "boxes.py").write_text('"""Boxes."""\n')
    (tmp_path / "pinna" / "images.py").write_text("from data.boxes import iou\nfrom data import crops\n")
    with pytest.raises(ValueError, match=r"images.py: imports from data itself"):
        gather(tmp_path, tmp_path / "out")


def test_the_command_prints_what_students_predict_writes(
    scene: np.ndarray, photograph: Path, pipeline: EarPipeline, capsys: pytest.CaptureFixture
) -> None:
    missing = str(photograph.with_name("none.jpg"))
    assert main([missing, str(photograph), "--json"]) == 1
    said = capsys.readouterr()
    assert said.err == f"error: {missing}: no such image.\n"
    content = json.loads(said.out)
    assert json_dialect(content, photograph) == "predictions"
    assert content["landmark_names"] == list(pipeline.landmark_names)
    assert content["skipped"] == [{"path": missing, "reason": f"{missing}: no such image."}]
    (record,) = content["inputs"]
    assert (record["path"], record["kind"]) == (str(photograph), "image")
    assert (record["height"], record["width"]) == scene.shape[:2]
    for ear, expected in zip(record["ears"], ear_records(pipeline(scene)), strict=True):
        np.testing.assert_allclose(ear["points_px"], expected["points_px"], atol=0.011)
        np.testing.assert_allclose(ear["box_xyxy"], expected["box_xyxy"], atol=0.011)


def test_a_reader_that_has_seen_enough_ends_it_quietly(photograph: Path) -> None:
    words = [sys.executable, "-m", "pinna", photograph, "--json"]
    running = subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running.stdout.close()
    _, said = running.communicate()
    assert running.returncode == 1 and said == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no photograph given: name one, as in `pinna photo.jpg`"),
        (["{photograph}", "--jsn"], "unrecognized arguments: --jsn; `pinna --help`"),
        (["{photograph}", "--overlay"], "expected one argument"),
        (["{photograph}", "--overlay", "{photograph}"], "is the photograph itself"),
        (["a.jpg", "b.jpg", "--overlay", "c.jpg"], "draws one photograph, found 2"),
        (["{photograph}", "--overlay", "drawn.docx"], "drawn.docx: OpenCV writes no picture of this name"),
    ],
)
def test_errors_are_one_sentence(
    words: list[str], message: str, photograph: Path, capsys: pytest.CaptureFixture
) -> None:
    before = photograph.read_bytes()
    assert main([word.format(photograph=photograph) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said and said.count("\n") == 1
    assert photograph.read_bytes() == before


def test_a_picture_is_upright_and_the_same_as_by_pillow(scene: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    turned = read_image(tmp_path / "turned.jpg")
    assert turned.shape == (640, 480, 3)
    by_pillow = read_by_pillow(tmp_path / "turned.jpg").astype(float)
    assert np.abs(turned - by_pillow).mean() < 1
    Image.fromarray(scene[..., 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.repeat(scene[..., :1], 3, axis=2))


def test_what_is_no_picture_is_named(scene: np.ndarray, tmp_path: Path) -> None:
    whole = cv2.imencode(".jpg", scene)[1].tobytes()
    path = tmp_path / "photo.jpg"
    for content, message in (
        (b"", "the file is empty"),
        (b"<!doctype html><p>", "it is an HTML page"),
        (whole[: len(whole) // 2], "photo.jpg: the JPEG is cut off"),
        (b"hello", "of no format that OpenCV reads, or damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_image(path)
    with pytest.raises(UserError, match="is a folder"):
        read_image(tmp_path)
