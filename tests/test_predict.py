"""students.predict: folders, bad images, videos; files beside the user's, never over them; exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from configs.build import configured, with_options
from configs.errors import UserError
from students import EarPipeline
from students.inference.inputs import Input, find_inputs
from students.inference.video import VideoFile, VideoFrames
from students.predict import Config, main
from tests.tiny_students import rectangle_frame, tiny_files

BOX = (20, 24, 48, 64)


@pytest.fixture
def photographs(tmp_path):
    """A folder of two good photographs, one of them in a subfolder, a truncated one and a text file."""
    folder = tmp_path / "photographs"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(rectangle_frame(BOX, 96, 120)).save(folder / "one.png")
    Image.fromarray(rectangle_frame(None, 96, 96)).save(folder / "more" / "one.jpg")
    whole = (folder / "one.png").read_bytes()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("not an image")
    return folder


def _config(*inputs, **options):
    return Config(inputs=tuple(str(path) for path in inputs), run=tiny_files(), **options)


@pytest.mark.trains
def test_a_folder_with_a_bad_image(photographs, tmp_path, capsys):
    output_dir = tmp_path / "out"
    with pytest.raises(SystemExit) as exit_:
        main(_config(photographs, output_dir=output_dir, coco=True))
    assert exit_.value.code == 1
    printed = capsys.readouterr()
    assert "skipped" in printed.err
    assert "broken.png" in printed.err
    assert printed.out.splitlines()[-1] == f"result: {output_dir}"
    result = json.loads((output_dir / "predictions.json").read_text())
    assert [entry["path"] for entry in result["skipped"]] == [str(photographs / "broken.png")]
    records = {record["path"]: record for record in result["inputs"]}
    ear = records[str(photographs / "one.png")]["ears"][0]
    pipeline, rgb = EarPipeline.from_run(tiny_files()), rectangle_frame(BOX, 96, 120)
    np.testing.assert_allclose(pipeline.boxes(rgb)[0, :4], BOX, atol=4)
    np.testing.assert_allclose(ear["box_xyxy"], pipeline(rgb)[0].box_xyxy, atol=0.01)
    assert len(ear["points_px"]) == len(ear["point_confidence"]) == len(result["landmark_names"]) == 17
    assert records[str(photographs / "more" / "one.jpg")]["ears"] == []
    assert (output_dir / "overlays" / "one_ears.jpg").is_file()
    assert (output_dir / "overlays" / "more" / "one_ears.jpg").is_file()


@pytest.mark.trains
def test_coco_holds_the_same_boxes_and_points(photographs, tmp_path):
    output_dir = tmp_path / "out"
    main(_config(photographs / "one.png", output_dir=output_dir, coco=True, overlays=False))
    (ear,) = json.loads((output_dir / "predictions.json").read_text())["inputs"][0]["ears"]
    content = json.loads((output_dir / "coco.json").read_text())
    (annotation,) = content["annotations"]
    x, y, width, height = annotation["bbox"]
    np.testing.assert_allclose([x, y, x + width, y + height], ear["box_xyxy"], atol=0.02)
    assert annotation["area"] == pytest.approx(width * height, abs=0.02)
    np.testing.assert_array_equal(np.reshape(annotation["keypoints"], (17, 3))[:, :2], ear["points_px"])
    assert content["images"][0] == {
        "id": annotation["image_id"], "file_name": str(photographs / "one.png"), "height": 96, "width": 120,
    }  # fmt: skip
    assert [1, 2] in content["categories"][0]["skeleton"]  # COCO counts from 1
    assert not (output_dir / "overlays").exists()


def test_inputs_stay_as_they_are(photographs, tmp_path):
    before = {path: path.read_bytes() for path in photographs.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit):
        main(_config(photographs, output_dir=photographs / "out"))
    for path, content in before.items():
        assert path.read_bytes() == content
    # A second run leaves out what the first wrote into the same folder.
    found = find_inputs([str(photographs)], photographs / "out")
    assert {entry.where for entry in found} == {str(path) for path in before if path.suffix != ".txt"}


def test_earlier_results_are_replaced_only_on_request(photographs, tmp_path):
    output_dir = tmp_path / "out"
    output_dir.mkdir()
    (output_dir / "diary.txt").write_text("mine")
    config = _config(photographs / "one.png", output_dir=output_dir)
    with pytest.raises(UserError, match="is not empty: choose another --output-dir, or add --overwrite"):
        main(config)
    assert sorted(path.name for path in output_dir.iterdir()) == ["diary.txt"]
    config = with_options(config, overwrite=True)
    main(config)
    main(config)
    assert (output_dir / "diary.txt").read_text() == "mine"


def test_an_overlay_never_lands_on_an_input(tmp_path):
    """`ears/overlays/a_ears.jpg` is given as an input and would be the overlay of `a.jpg`."""
    overlays = tmp_path / "ears" / "overlays"
    overlays.mkdir(parents=True)
    for path in (tmp_path / "a.jpg", overlays / "a_ears.jpg"):
        Image.fromarray(rectangle_frame(BOX)).save(path)
    config = _config(
        tmp_path / "a.jpg", overlays / "a_ears.jpg", output_dir=tmp_path / "ears", overwrite=True
    )
    with pytest.raises(UserError, match="is itself an input"):
        main(config)


def test_same_names_from_two_places_get_files_of_their_own(tmp_path):
    names = [entry.name for entry in find_inputs(["a/x.jpg", "b/x.png", "c/X.mp4"], tmp_path)]
    assert names == ["x", "x-2", "X-3"]


def test_inputs_are_told_apart(tmp_path):
    found = find_inputs(["clip.MP4", "camera:1", "photo.jpeg"], tmp_path)
    assert [(entry.kind, entry.where) for entry in found] == [
        ("video", "clip.MP4"),
        ("camera", "1"),
        ("image", "photo.jpeg"),
    ]
    with pytest.raises(UserError, match="camera:0 is the first"):
        find_inputs(["camera:front"], tmp_path)
    with pytest.raises(UserError, match="No input given"):
        find_inputs([], tmp_path)
    with pytest.raises(UserError, match="no image in this folder"):
        find_inputs([str(tmp_path)], tmp_path / "out")


@pytest.mark.trains
def test_a_video_becomes_a_video(tmp_path):
    """Five frames in which the rectangle moves 6 px a frame: one ear that moves, at the right times."""
    source = tmp_path / "clip.mp4"
    writer = VideoFile(source, frames_per_s=10)
    for index in range(5):
        x1, y1, x2, y2 = (value + 6 * index * (1 - axis % 2) for axis, value in enumerate(BOX))
        writer.add(rectangle_frame((x1, y1, x2, y2), 96, 128, seed=index))
    writer.close()
    main(_config(source, output_dir=tmp_path / "out"))
    (record,) = json.loads((tmp_path / "out" / "predictions.json").read_text())["inputs"]
    assert [frame["time_s"] for frame in record["frames"]] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert [frame["ears"][0]["identity"] for frame in record["frames"]] == [0] * 5
    # how well it is followed is not for a landmarker of random weights to show
    middle = [np.mean(frame["ears"][0]["box_xyxy"][::2]) for frame in record["frames"]]
    assert abs(middle[0] - np.mean(BOX[::2])) < 5
    assert np.diff(middle).min() > 0
    drawn = cv2.VideoCapture(str(tmp_path / "out" / "overlays" / "clip_ears.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert drawn.get(cv2.CAP_PROP_FRAME_WIDTH) == 640  # small frames are enlarged to be legible
    drawn.release()


def test_broken_and_missing_videos_are_skipped(tmp_path, capfd):
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(UserError, match="cannot be opened as a video"):
        VideoFrames(Input("video", str(tmp_path / "broken.mp4"), "broken"))
    with pytest.raises(SystemExit) as exit_:
        main(_config(tmp_path / "broken.mp4", tmp_path / "gone.avi", output_dir=tmp_path / "out"))
    assert exit_.value.code == 1
    skipped = json.loads((tmp_path / "out" / "predictions.json").read_text())["skipped"]
    assert len(skipped) == 2
    assert not list((tmp_path / "out").rglob("*.mp4"))


def test_a_video_file_appears_only_when_whole(tmp_path):
    writer = VideoFile(tmp_path / "a.mp4", frames_per_s=25)
    writer.add(np.zeros((33, 41, 3), np.uint8))
    assert not (tmp_path / "a.mp4").exists()
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_without_models_named_the_shipped_ones_find_rendered_ears(tmp_path):
    from data.metrics import nme
    from data.render.scene.photograph import render_ear
    from students.inference.pipeline import EarPipeline

    found, errors, pipeline = 0, [], EarPipeline.pretrained(threads=1)
    for identity in range(5000, 5008):
        ear = render_ear(identity, 0, 256)
        Image.fromarray(ear.image).save(tmp_path / f"{identity}.png")
        found += len(pipeline(ear.image)) > 0
        points_px = pipeline.landmarks(ear.image, ear.box_xyxy)
        errors.append(nme(points_px[None], ear.landmarks[None], ear.visibility[None])[0])
    assert found >= 6  # of 8
    assert np.median(errors) < 0.06
    main(Config(inputs=(str(tmp_path / "5000.png"),), output_dir=tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "predictions.json").read_text())["inputs"][0]["ears"]


def test_models_must_be_there(tmp_path):
    with pytest.raises(UserError, match="No exported students"):
        main(Config(inputs=("x.jpg",), output_dir=tmp_path / "out", run=tmp_path))
    with pytest.raises(UserError, match="score_threshold is 2"):
        main(_config("x.jpg", output_dir=tmp_path / "out", score_threshold=2))


def test_the_command_line(photographs, tmp_path):
    """As a user types it: the last line says where the result lies; a misspelt flag is explained."""
    command = [sys.executable, "-m", "students.predict", "--run", str(tiny_files())]
    words = [str(photographs / "one.png"), "--output-dir", str(tmp_path / "out")]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"result: {tmp_path / 'out'}"
    wrong = subprocess.run([*command, *words, "--cooc"], capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 2
    assert "Did you mean '--coco'" in wrong.stderr


def test_options_that_are_gone_say_what_to_do():
    assert configured(Config, inputs=["x.jpg"], landmarks="a.yaml").scheme == Path("a.yaml")
    for name, way_on in (("max_frames", "cut a long one first"), ("threads", "EarPipeline takes threads")):
        with pytest.raises(UserError, match=f"{name} is gone: .*{way_on}"):
            configured(Config, inputs=["x.jpg"], **{name: 4})


def test_the_curves_of_a_scheme_are_for_as_many_points(tmp_path):
    (tmp_path / "two.yaml").write_text("names: [a, b]\ncurves: {}\n")
    with pytest.raises(UserError, match="two.yaml names 2 points, the landmarker predicts 17"):
        main(_config("x.jpg", output_dir=tmp_path / "out", scheme=tmp_path / "two.yaml"))
