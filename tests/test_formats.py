"""Formats: files written by hand are read right, and what is written is read again."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import UserError
from data.formats import (
    FORMATS,
    detect_format,
    format_module,
    listed_formats,
    read_annotations,
    write_annotations,
)
from data.formats.options import ReadOptions
from data.formats.rules.notes import Notes
from data.manifest import Manifest, write_manifest


def photograph(path: Path, width: int = 100, height: int = 80) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (90, 60, 40)).save(path)
    return path


def example(folder: Path, points: int = 17) -> Manifest:
    """Three ears in two photographs, one hidden point and one not annotated, one photograph without ears."""
    paths = [photograph(folder / "photos" / name) for name in ("a.png", "a.png", "b.png")]
    wall = photograph(folder / "photos" / "wall.png", 60, 40)
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(20, 60, (3, points, 2)).astype(np.float32)
    visibility = np.full((3, points), 2)
    visibility[0, 1], visibility[1, 2] = 1, 0
    boxes = [[10, 12.5, 40, 70], [50, 5, 90, 75.25], [0, 0, 100, 80]]
    return Manifest(
        np.array(list(map(str, paths))), np.array(boxes), landmarks, visibility, None, np.array([str(wall)])
    )


def same_ears(read: Manifest, written: Manifest, points: bool, visibility: bool = True) -> None:
    order = np.lexsort((read.boxes_xyxy[:, 0], [Path(path).resolve().name for path in read.image_paths]))
    read = read.select(order, keep_empty_images=True)
    pairs = zip(read.image_paths, written.image_paths, strict=True)
    assert all(Path(one).resolve() == Path(other).resolve() for one, other in pairs)
    np.testing.assert_allclose(read.boxes_xyxy, written.boxes_xyxy, atol=1e-3)
    assert (read.landmarks is not None) == points
    if points:
        np.testing.assert_allclose(read.landmarks, written.landmarks, atol=1e-3)
        known = written.visibility if visibility else np.where(written.visibility > 0, 2, 0)
        np.testing.assert_array_equal(read.visibility, known)


@pytest.mark.parametrize("name", ["npy", "coco", "yolo", "yolo-pose"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    manifest = example(tmp_path)
    target = tmp_path / {"npy": "out.npy", "coco": "out.json"}.get(name, "out")
    assert write_annotations(target, manifest, name) == target
    assert detect_format(target) == name
    read = read_annotations(target)
    same_ears(read, manifest, points=name != "yolo")
    assert [Path(path).resolve() for path in read.empty_images] == [Path(manifest.empty_images[0])]


def test_pts_come_back_with_boxes_round_their_points(tmp_path: Path) -> None:
    manifest = example(tmp_path)
    read = read_annotations(write_annotations(tmp_path / "out", manifest, "pts"))
    order = [0, 1, 2]
    np.testing.assert_allclose(read.landmarks, manifest.landmarks[order], atol=1e-3)
    assert read.visibility[0, 1] == 2  # a .pts cannot say hidden
    assert read.visibility[1, 2] == 0
    known = np.nan_to_num(manifest.landmarks[0], nan=40)
    expected = [*(known.min(axis=0) + 0.5), *(known.max(axis=0) + 0.5)]
    np.testing.assert_allclose(read.boxes_xyxy[0], expected, atol=1e-3)
    assert Path(read.image_paths[2]).resolve().name == "b.png"


def test_every_format_is_known_by_name_and_a_misspelt_one_is_guessed(tmp_path: Path) -> None:
    photograph(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"unknown format 'yolopose'.*Did you mean 'yolo-pose'"):
        read_annotations(tmp_path, "yolopose")
    with pytest.raises(UserError, match="crops: can only be read"):
        write_annotations(tmp_path / "x", example(tmp_path), "crops")
    for name in FORMATS:
        assert 1 <= len(format_module(name).EXAMPLE.strip().splitlines()) <= 4
        assert f"{name}: " in listed_formats()


def test_a_coco_file_by_hand(tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "one.jpg")
    photograph(tmp_path / "images" / "two.jpg")
    keypoints = [1, 2, 2, 3.5, 4, 1, 0, 0, 0]
    content = {
        "images": [{"id": 7, "file_name": "one.jpg", "person": "p1"}, {"id": 3, "file_name": "two.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "bbox": [10, 20, 30, 40], "keypoints": keypoints},
            {"id": 2, "image_id": 7, "category_id": 2, "bbox": [50, 20, 10, 10]},
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [0, 0, 5, 5]},
            {"id": 4, "image_id": 7, "category_id": 2, "bbox": [0, 0, 9, 9], "iscrowd": 1},
            {"id": 5, "image_id": 99, "category_id": 2, "bbox": [0, 0, 9, 9]},
            {"id": 6, "image_id": 7, "category_id": 2, "bbox": []},
        ],
        "categories": [{"id": 1, "name": "Beard"}, {"id": 2, "name": "left-ear"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    notes = Notes()
    read = read_annotations(tmp_path / "coco.json", notes=notes)
    assert read.image_paths.tolist() == [str(tmp_path / "images" / "one.jpg")] * 2
    assert read.boxes_xyxy.tolist() == [[10, 20, 40, 60], [50, 20, 60, 30]]
    np.testing.assert_array_equal(read.landmarks[0], [[1, 2], [3.5, 4], [np.nan, np.nan]])
    assert read.visibility.tolist() == [[2, 1, 0], [0, 0, 0]]
    assert read.empty_images.tolist() == [str(tmp_path / "images" / "two.jpg")]
    assert sorted(notes.drops.counts.values()) == [1, 1, 1, 1]
    sourced = read_annotations(tmp_path / "coco.json", options=ReadOptions(source_key="person"))
    assert sourced.sources.tolist() == ["p1", "p1"]
    beards = read_annotations(tmp_path / "coco.json", options=ReadOptions(category="Beard"))
    assert beards.boxes_xyxy.tolist() == [[0, 0, 5, 5]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": None}, "'annotations' must be a list"),
        (
            {"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]},
            r"no class is named ear.*cat \(0\), dog \(0\).*--category",
        ),
    ],
)
def test_broken_coco_is_explained(tmp_path: Path, change: dict, message: str) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [],
        "categories": [{"id": 1, "name": "ear"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content | change))
    with pytest.raises(UserError, match=rf"coco\.json: {message}"):
        read_annotations(tmp_path / "coco.json")


def test_broken_records_of_coco_are_left_out_and_listed(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": ["x", 0, 1, 1]},
            {"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]},
        ],
        "categories": [{"id": 1, "name": "ear"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    notes = Notes()
    assert read_annotations(tmp_path / "coco.json", notes=notes).boxes_xyxy.tolist() == [[10, 20, 40, 60]]
    assert notes.drops.counts == {
        "record that cannot be used: no 'file_name', text is needed.": 1,
        "bbox that is not x, y, width, height": 1,
    }
    assert notes.spoilt_images == {str(tmp_path / "a.jpg")}


def test_coco_with_differing_point_counts_names_the_annotations(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "image_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [1, 1, 2] * 17},
        {"id": 2, "image_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [1, 1, 2] * 16},
    ]
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": rows}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="found 17 in annotation 1 of .*, 16 in annotation 2"):
        read_annotations(tmp_path / "coco.json")
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(UserError, match="JSON of no known tool"):
        read_annotations(tmp_path / "list.json")
    with pytest.raises(UserError, match="not COCO"):
        read_annotations(tmp_path / "list.json", "coco")
    (tmp_path / "cut.json").write_text('{"images": [')
    with pytest.raises(UserError, match="not a JSON file"):
        read_annotations(tmp_path / "cut.json")


def yolo_folder(folder: Path, label: str, description: str = "") -> Path:
    photograph(folder / "train" / "images" / "a.jpg")
    photograph(folder / "train" / "images" / "none.jpg")
    (folder / "train" / "labels").mkdir()
    (folder / "train" / "labels" / "a.txt").write_text(label)
    if description:
        (folder / "data.yaml").write_text(description)
    return folder


def test_a_yolo_folder_by_hand(tmp_path: Path) -> None:
    """Image of 100 x 80: centre (.5, .25), sides (.2, .5) is 40..60 by 0..40."""
    description = "train: ../train/images\nval: ../valid/images\nnames: [ear, nose]\n"
    folder = yolo_folder(tmp_path, "0 0.5 0.25 0.2 0.5\n1 0.1 0.1 0.1 0.1\n\n", description)
    notes = Notes()
    for path in (folder, folder / "data.yaml"):
        assert detect_format(path) == "yolo"
        read = read_annotations(path, notes=notes)
        np.testing.assert_allclose(read.boxes_xyxy, [[40, 0, 60, 40]], atol=1e-5)
        assert [Path(image).name for image in read.empty_images] == ["none.jpg"]
    assert notes.drops.counts == {"annotation of another class": 2}


def test_yolo_pose_by_hand(tmp_path: Path) -> None:
    """The middle of the image lies at (50, 40) on the scale of edges, at (49.5, 39.5) in pixel centres."""
    read = read_annotations(yolo_folder(tmp_path, "0 0.5 0.25 0.2 0.5 0.5 0.5 1 0 0 0\n"))
    np.testing.assert_allclose(read.landmarks[0], [[49.5, 39.5], [np.nan, np.nan]])
    assert read.visibility.tolist() == [[1, 0]]


def test_yolo_pose_without_visibility(tmp_path: Path) -> None:
    description = "train: train/images\nkpt_shape: [3, 2]\nnames: {0: ear}\n"
    read = read_annotations(yolo_folder(tmp_path, "0 .5 .5 .2 .5 .5 .5 .25 .5 0 0\n", description))
    np.testing.assert_allclose(read.landmarks[0, :2], [[49.5, 39.5], [24.5, 39.5]])
    assert read.visibility.tolist() == [[2, 2, 0]]


@pytest.mark.parametrize(
    ("label", "format_name", "message"),
    [
        ("0 0.5 x 0.2 0.5\n", "yolo", r"a\.txt line 1: not a YOLO label"),
        ("0 0.5 0.5 0.2\n", "yolo", r"a\.txt line 1: expected class and at least 4"),
        (
            "0 .5 .5 .2 .5 .5 .5 2\n",
            "yolo",
            r"a\.txt line 1: expected class and 4 numbers, found 7.*yolo-pose",
        ),
        ("0 .5 .5 .2 .5 .5\n", "yolo-pose", "no points behind any box"),
        ("0 .5 .5 .2 .5 .5 .5 .5\n", "yolo-pose", "no box and points"),
    ],
)
def test_broken_yolo_labels_name_file_and_line(
    tmp_path: Path, label: str, format_name: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_annotations(yolo_folder(tmp_path, label), format_name)


def test_a_broken_line_of_yolo_costs_one_line(tmp_path: Path) -> None:
    label = "0 .5 .5 .2 .5 .5 .5 2\n0 .5 .5 .2 .5 .5 .5\n0 x .5 .2 .5 .5 .5 2\n0 .5 .5 .2 .5 .5 .5 1\n"
    notes = Notes()
    read = read_annotations(yolo_folder(tmp_path, label), "yolo-pose", notes=notes)
    assert read.visibility.tolist() == [[2], [1]]
    assert notes.drops.counts == {
        "2 numbers after the box, expected 1 points of 3 = 3": 1,
        "not a YOLO label": 1,
    }
    assert len(notes.spoilt_images) == 1


def test_broken_yolo_descriptions(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, "0 .5 .5 .2 .5\n", "kpt_shape: 17\n")
    with pytest.raises(UserError, match="kpt_shape must be"):
        read_annotations(folder, "yolo")
    (folder / "data.yaml").write_text("a: [1")
    with pytest.raises(UserError, match=r"data\.yaml: not valid YAML"):
        read_annotations(folder, "yolo")


def test_an_unreadable_image_of_yolo_is_left_out_and_counted(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, "0 .5 .5 .2 .5\n0 .2 .2 .1 .1\n")
    (folder / "train" / "images" / "a.jpg").write_bytes(b"")
    notes = Notes()
    assert len(read_annotations(folder, "yolo", notes=notes)) == 0
    assert notes.drops.counts == {"unreadable image: the file is empty.": 2}


def test_pts_by_hand(tmp_path: Path) -> None:
    """Coordinates in the file count from 1."""
    photograph(tmp_path / "e.PNG")
    (tmp_path / "e.pts").write_text("version: 1\nn_points:  3\n{\n1 1\n11.5 31\nnan nan\n}\n")
    read = read_annotations(tmp_path)
    np.testing.assert_array_equal(read.landmarks[0], [[0, 0], [10.5, 30], [np.nan, np.nan]])
    assert read.boxes_xyxy.tolist() == [[0.5, 0.5, 11, 30.5]]
    assert read.visibility.tolist() == [[2, 2, 0]]
    assert read.image_paths.tolist() == [str(tmp_path / "e.PNG")]


def pts(count: int, change: tuple[str, str] = ("", "")) -> str:
    lines = "".join(f"{number + 10} {2 * number + 10}\n" for number in range(count))
    return f"version: 1\nn_points: {count}\n{{\n{lines}}}\n".replace(*change)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3 points", "could not convert"),
        ("version: 1\nno points\n", r"not a \.pts file"),
        (pts(3, ("12 14\n", "")), "says n_points: 3 but holds 4 numbers"),
        (pts(3, ("12 14\n", "12 x\n")), "could not convert"),
        ("", "the file is empty"),
    ],
)
def test_a_broken_pts_costs_one_file(tmp_path: Path, text: str, message: str) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.pts").write_text(text if name == "b" else pts(3))
        photograph(tmp_path / f"{name}.jpg")
    notes = Notes()
    read = read_annotations(tmp_path, notes=notes)
    assert [Path(path).name for path in read.image_paths] == ["a.jpg", "c.jpg"]
    ((reason, count),) = notes.drops.counts.items()
    assert message.replace("\\", "") in reason
    assert count == 1
    assert notes.spoilt_images == {str(tmp_path / "b.jpg")}


def test_pts_of_differing_numbers_of_points(tmp_path: Path) -> None:
    for name, count in (("a", 3), ("b", 4)):
        (tmp_path / f"{name}.pts").write_text(pts(count))
    with pytest.raises(UserError, match=r"must agree in the number of points, found 4 in .*b\.pts, 3 in .*a"):
        read_annotations(tmp_path)
    (tmp_path / "c.pts").write_text(pts(3))
    notes = Notes()
    assert len(read_annotations(tmp_path, notes=notes)) == 2
    assert notes.drops.counts == {"4 points where most have 3": 1}


def test_a_folder_of_crops_is_one_ear_an_image(tmp_path: Path) -> None:
    photograph(tmp_path / "x" / "1.jpg", 30, 50)
    photograph(tmp_path / "y" / "2.jpg", 40, 40)
    (tmp_path / "y" / "broken.jpg").write_text("no")
    notes = Notes()
    assert detect_format(tmp_path) == "crops"
    read = read_annotations(tmp_path, notes=notes)
    assert read.boxes_xyxy.tolist() == [[0, 0, 30, 50], [0, 0, 40, 40]]
    assert sum(notes.drops.counts.values()) == 1


def test_an_npy_with_other_boxes_root_and_sources(tmp_path: Path) -> None:
    image = photograph(tmp_path / "elsewhere" / "a.jpg")
    content = {"image_paths": ["a.jpg"], "bboxes": [[10, 20, 30, 40]], "person": [4]}
    np.save(tmp_path / "m.npy", np.array(content, dtype=object), allow_pickle=True)
    options = ReadOptions(image_root=image.parent, box_format="xywh", source_key="person")
    read = read_annotations(tmp_path / "m.npy", options=options)
    assert read.image_paths.tolist() == [str(image)]
    assert read.boxes_xyxy.tolist() == [[10, 20, 40, 60]]
    assert read.sources.tolist() == ["4"]
    with pytest.raises(UserError, match="no key 'people' for the sources"):
        read_annotations(tmp_path / "m.npy", options=ReadOptions(source_key="people"))


def test_what_is_no_data_set_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        read_annotations(tmp_path / "nothing")
    with pytest.raises(UserError, match="neither annotations nor images"):
        read_annotations(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="a file of no known format"):
        read_annotations(tmp_path / "notes.txt")
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds notes\.txt, train\.json, which may be annotations"):
        read_annotations(tmp_path)


def test_landmark_formats_refuse_manifests_without(tmp_path: Path) -> None:
    bare = Manifest(np.array([str(photograph(tmp_path / "a.jpg"))]), np.array([[0, 0, 9, 9]]))
    for name in ("pts", "yolo-pose"):
        with pytest.raises(UserError, match="needs landmarks"):
            write_annotations(tmp_path / name, bare, name)


def test_images_of_the_same_name_stay_apart_in_yolo(tmp_path: Path) -> None:
    paths = [photograph(tmp_path / folder / "ear.png") for folder in ("p1", "p2")]
    boxes = np.array([[0, 0, 50, 40], [10, 10, 60, 70]])
    manifest = Manifest(np.array(list(map(str, paths))), boxes)
    read = read_annotations(write_annotations(tmp_path / "out", manifest, "yolo"))
    found = {
        Path(path).resolve(): box.tolist()
        for path, box in zip(read.image_paths, read.boxes_xyxy, strict=True)
    }
    np.testing.assert_allclose([found[path] for path in paths], boxes, atol=1e-3)


def test_coco_is_read_by_pycocotools_successor(tmp_path: Path) -> None:
    """Oracle: another library reads what we write."""
    coco = pytest.importorskip("faster_coco_eval").COCO
    manifest = example(tmp_path)
    write_annotations(tmp_path / "out.json", manifest, "coco")
    loaded = coco(str(tmp_path / "out.json"))
    assert len(loaded.getAnnIds()) == 3
    annotation = loaded.loadAnns([1])[0]
    assert annotation["bbox"] == [10, 12.5, 30, 57.5]
    assert annotation["num_keypoints"] == 17
    assert loaded.loadCats([1])[0]["keypoints"][0].startswith("otobasion")
    write_manifest(tmp_path / "m.npy", manifest)
