"""Out again: what `data.convert` writes holds the right values, and comes back to the same points."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image

from configs.build import configured
from configs.errors import UserError
from data import prepare
from data.convert.__main__ import Config, main
from data.landmarks import load_scheme
from data.manifest import Manifest, read_manifest, write_manifest


@pytest.fixture
def ears(tmp_path: Path) -> Manifest:
    """Three ears, two in one picture, with a hidden point and one that is not annotated; a wall."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / "photos" / name for name in ("a b.png", "a b.png", "c.png")]
    for path, size in zip(
        [*paths, tmp_path / "photos" / "wall.png"], [(333, 257)] * 3 + [(60, 40)], strict=True
    ):
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), np.uint8)).save(path)
    boxes = np.array([[10, 12.5, 90, 130.25], [150, 20, 260, 200], [30, 40, 300, 250]], np.float32)
    points = boxes[:, None, :2] + rng.uniform(0.1, 0.9, (3, 17, 2)) * (
        boxes[:, None, 2:] - boxes[:, None, :2]
    )
    visibility = np.full((3, 17), 2)
    visibility[0, 1], visibility[1, 2] = 1, 0
    return Manifest(
        np.array(list(map(str, paths))), boxes, points, visibility,
        empty_images=np.array([str(tmp_path / "photos" / "wall.png")]),
    )  # fmt: skip


TARGETS = {"coco": "out.json", "yolo-pose": "out", "cvat": "out.xml", "label-studio": "out.json"}


@pytest.mark.parametrize("to", TARGETS)
def test_prepared_again_the_points_are_the_same(tmp_path: Path, ears: Manifest, to: str) -> None:
    source = write_manifest(tmp_path / "ears.npy", ears)
    output = main(configured(Config, input=source, to=to, output=tmp_path / TARGETS[to]))
    options = {"val_fraction": 0, "test_fraction": 0, "num_workers": 0, "strict": True}
    folder = prepare.main(
        configured(prepare.Config, input=(output,), output_dir=tmp_path / "again", **options)
    )
    again = read_manifest(folder / "train_labelled.npy")
    order = np.lexsort((again.boxes_xyxy[:, 0], [Path(path).resolve().name for path in again.image_paths]))
    again = again.select(order)
    assert [Path(path).resolve() for path in again.image_paths] == [Path(path) for path in ears.image_paths]
    np.testing.assert_allclose(again.boxes_xyxy, ears.boxes_xyxy, atol=0.01)
    np.testing.assert_allclose(again.landmarks, ears.landmarks, atol=0.01)
    np.testing.assert_array_equal(again.visibility, ears.visibility)
    frames = read_manifest(folder / "train_frames.npy")
    assert [Path(path).resolve().name for path in frames.empty_images] == ["wall.png"]


def test_what_is_written_is_what_the_tools_read(tmp_path: Path, ears: Manifest) -> None:
    """Values worked out by hand from the formats' documentation."""
    one = replace(ears.select([0]), landmarks=ears.landmarks[:1].copy())
    one.landmarks[0, 0] = [19.5, 30]
    source = write_manifest(tmp_path / "ears.npy", one)
    written = {
        to: main(configured(Config, input=source, to=to, output=tmp_path / to / TARGETS[to]))
        for to in TARGETS
    }
    coco = json.loads(written["coco"].read_text())
    assert coco["annotations"][0]["bbox"] == [10, 12.5, 80, 117.75]
    assert coco["annotations"][0]["keypoints"][:3] == [19.5, 30, 2]
    assert coco["categories"][0]["keypoints"] == list(load_scheme().names)
    assert coco["images"][0]["width"] == 333

    image = ElementTree.parse(written["cvat"]).getroot().find("image")
    assert (image.get("width"), image.get("height")) == ("333", "257")
    box, skeleton = image.find("box"), image.find("skeleton")
    assert [box.get(edge) for edge in ("xtl", "ytl", "xbr", "ybr")] == [
        "10.0000",
        "12.5000",
        "90.0000",
        "130.2500",
    ]
    assert box.get("group_id") == skeleton.get("group_id")
    first, second = skeleton.findall("points")[:2]
    assert (first.get("label"), first.get("points")) == ("otobasion superius", "20.0000,30.5000")
    assert (first.get("occluded"), second.get("occluded")) == ("0", "1")

    (task,) = json.loads(written["label-studio"].read_text())
    assert task["data"]["image"].startswith("/data/local-files/?d=")
    box, point = task["annotations"][0]["result"][:2]
    assert box["value"]["x"] == pytest.approx(100 * 10 / 333)
    assert box["value"]["height"] == pytest.approx(100 * 117.75 / 257)
    assert (point["value"]["x"], point["value"]["y"]) == pytest.approx((100 * 20 / 333, 100 * 30.5 / 257))
    assert point["value"]["keypointlabels"] == ["otobasion superius"]
    assert point["parentID"] == box["id"]
    assert (point["original_width"], point["original_height"]) == (333, 257)

    line = next((written["yolo-pose"] / "labels").glob("*.txt")).read_text().split()
    assert list(map(float, line[:7])) == pytest.approx(
        [0, 50 / 333, 71.375 / 257, 80 / 333, 117.75 / 257, 20 / 333, 30.5 / 257], abs=1e-6
    )
    description = yaml.safe_load((written["yolo-pose"] / "data.yaml").read_text())
    assert description["kpt_shape"] == [17, 3]


@pytest.mark.parametrize("to", ["coco", "cvat", "label-studio"])
def test_predictions_are_written_to_be_corrected(tmp_path: Path, ears: Manifest, to: str) -> None:
    points = np.round(ears.landmarks[2], 2).tolist()
    ear = {"box_xyxy": [30, 40, 300, 250], "score": 0.91, "points_px": points, "point_confidence": [0.9] * 17}
    size = {"kind": "image", "height": 257, "width": 333}
    predictions = {
        "landmark_names": list(load_scheme().names),
        "inputs": [
            {"path": ears.image_paths[2], **size, "ears": [ear]},
            {"path": ears.image_paths[0], **size, "ears": []},
            {"path": "clip.mp4", "kind": "video", "height": 9, "width": 9, "frames_per_s": 25, "frames": []},
        ],
        "skipped": [],
    }
    source = tmp_path / "predictions.json"
    source.write_text(json.dumps(predictions))
    output = main(configured(Config, input=source, to=to, output=tmp_path / "out" / TARGETS[to]))
    options = {"val_fraction": 0, "test_fraction": 0, "num_workers": 0}
    folder = prepare.main(
        configured(prepare.Config, input=(output,), output_dir=tmp_path / "again", **options)
    )
    again = read_manifest(folder / "train_labelled.npy")
    np.testing.assert_allclose(again.landmarks[0], points, atol=0.01)
    assert read_manifest(folder / "train_frames.npy").empty_images.tolist() == [ears.image_paths[0]]
    with pytest.raises(UserError, match=r"predictions, not annotations.*data\.convert"):
        prepare.main(configured(prepare.Config, input=(source,), output_dir=tmp_path / "no", **options))


def test_what_cannot_be_converted_is_said(tmp_path: Path, ears: Manifest) -> None:
    source = write_manifest(tmp_path / "ears.npy", ears)
    with pytest.raises(UserError, match=r"cvat is a file that ends in \.xml"):
        configured(Config, input=source, to="cvat", output=tmp_path / "out.json")
    with pytest.raises(UserError, match="is there already"):
        configured(Config, input=source, to="yolo", output=tmp_path / "photos")
    coco = main(configured(Config, input=source, to="coco", output=tmp_path / "out.json"))
    with pytest.raises(UserError, match="is coco; data.convert takes a manifest or predictions.json"):
        main(configured(Config, input=coco, to="cvat", output=tmp_path / "out.xml"))
