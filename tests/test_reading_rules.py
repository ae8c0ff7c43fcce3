"""The rules that all readers follow: classes, pictures' names, sizes, points' names, columns, numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import UserError
from data.formats import detect_format, read_annotations
from data.formats.drops import Drops
from data.formats.options import ReadOptions
from data.formats.rules.classes import choose_classes
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.point_names import in_scheme_order
from data.formats.rules.text import split_numbers
from data.landmarks import Scheme, load_scheme
from data.manifest import Manifest

SIDEWAYS = {  # EXIF tag: where the upright picture's upper left and lower right corner lie in the file
    2: ((1, 0), (0, 1)), 3: ((1, 1), (0, 0)), 4: ((0, 1), (1, 0)), 5: ((0, 0), (1, 1)),
    6: ((0, 1), (1, 0)), 7: ((1, 1), (0, 0)), 8: ((1, 0), (0, 1)),
}  # fmt: skip


def picture(path: Path, width: int = 100, height: int = 80, orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (width, height)).save(path, exif=exif.tobytes())
    return path


@pytest.mark.parametrize(
    ("classes", "taken"),
    [
        (["ear"], {"ear"}),
        (["l_ear", "r_ear", "ear_r", "nose"], {"l_ear", "r_ear"}),
        (["ear_l", "ear_r", "nose"], {"ear_l", "ear_r"}),
        (["LeftEar", "right ear"], {"LeftEar", "right ear"}),
        (["Human ear", "Earrings", "Human head"], {"Human ear"}),
        (["ear", "earring", "earphone", "early blight"], {"ear"}),
        (["Pinna", "ear tag"], {"Pinna"}),
        (["ears", "Beard", "pear", "fear"], {"ears"}),
        ([""], {""}),
    ],
)
def test_ears_are_told_by_whole_words(classes: list[str], taken: set[str]) -> None:
    assert choose_classes(dict.fromkeys(classes, 1), "", "both", "x").names == taken


@pytest.mark.parametrize(
    ("classes", "wanted", "message"),
    [
        (["person"], "", r"no class is named ear.*person \(1\).*--category"),
        (["ear of corn", "early"], "", "no class is named ear"),
        (["ear_r", "nose"], "", "the earring in CelebAMask-HQ.*Say which with --category"),
        (["ear", "earring"], "earing", "no class 'earing'.*Did you mean 'earring'"),
        (["ear"], "nonsense", r"no class 'nonsense'; there are ear \(1\)"),
    ],
)
def test_doubtful_classes_are_asked_for(classes: list[str], wanted: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_classes(dict.fromkeys(classes, 1), wanted, "both", "x")


def test_classes_that_are_asked_for_and_sides() -> None:
    counts = {"person": 3, "l_ear": 2, "r_ear": 1}
    assert choose_classes(counts, "person", "both", "x").names == {"person"}
    assert choose_classes(counts, "L_EAR, r_ear", "both", "x").names == {"l_ear", "r_ear"}
    chosen = choose_classes(counts, "", "left", "x")
    assert (chosen.names, chosen.other_side) == ({"l_ear"}, {"r_ear"})
    assert chosen.line == "class taken: l_ear (2); left out: person (3), r_ear (1)"
    with pytest.raises(UserError, match="no class says left"):
        choose_classes({"ear": 2}, "", "left", "x")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.jpg", "a.jpg"),
        ("sub\\b.jpg", "sub/b.jpg"),
        ("C:\\Users\\x\\sub\\b.jpg", "sub/b.jpg"),
        ("/home/x/set/sub/b.jpg", "sub/b.jpg"),
        ("file:///home/x/a%20b.jpg", "a b.jpg"),
        ("https://host/images/sub/b.jpg?width=3", "sub/b.jpg"),
        ("/data/upload/7/0a1b2c3d-a.jpg", "a.jpg"),
        ("/data/local-files/?d=sub%2Fb.jpg", "sub/b.jpg"),
        ("A.JPG", "a.jpg"),
        ("two/c.jpg", "two/c.jpg"),
        ("x/two/c.jpg", "two/c.jpg"),
    ],
)
def test_pictures_are_found_however_their_names_are_written(tmp_path: Path, name: str, place: str) -> None:
    for file in ("a.jpg", "sub/b.jpg", "a b.jpg", "one/c.jpg", "two/c.jpg"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert ImageFinder(tmp_path).find(name) == tmp_path / place


def test_a_name_that_may_mean_two_pictures_is_a_doubt(tmp_path: Path) -> None:
    for file in ("one/c.jpg", "two/c.jpg", "d.jpg"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    finder = ImageFinder(tmp_path)
    with pytest.raises(UserError, match="no such image, but 2 of that name"):
        finder.find("c.jpg")
    found = finder.find_all([("anna/d.jpg", ""), ("bert/d.jpg", "")])
    assert all("several names" in str(error) for error in found.values())
    assert finder.find("gone.jpg") == tmp_path / "gone.jpg"


@pytest.mark.parametrize("orientation", SIDEWAYS)
def test_annotations_of_a_picture_before_its_exif_turn(tmp_path: Path, orientation: int) -> None:
    """A box on the upper left quarter of the upright picture, a point on its first pixel, as a tool writes
    them that does not know the tag; a second picture on its side tells that it does not.
    """
    raw = (120, 90)
    picture(tmp_path / "a.jpg", *raw, orientation)
    picture(tmp_path / "told.jpg", *raw, 6)
    upright = (90, 120) if orientation > 4 else raw
    start, end = (np.array(corner) * raw for corner in SIDEWAYS[orientation])
    middle = (start + end) / 2
    low, high = np.minimum(start, middle), np.maximum(start, middle)
    point = np.minimum(start, np.array(raw) - 1)
    images = [
        {"id": 1, "file_name": "a.jpg", "width": raw[0], "height": raw[1]},
        {"id": 2, "file_name": "told.jpg", "width": raw[0], "height": raw[1]},
    ]
    annotation = {
        "image_id": 1, "category_id": 1, "bbox": [*low.tolist(), *(high - low).tolist()],
        "keypoints": [*point.tolist(), 2],
    }  # fmt: skip
    content = {"images": images, "annotations": [annotation], "categories": [{"id": 1, "name": "ear"}]}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    notes = Notes()
    read = read_annotations(tmp_path / "coco.json", notes=notes)
    np.testing.assert_allclose(read.boxes_xyxy, [[0, 0, upright[0] / 2, upright[1] / 2]])
    np.testing.assert_allclose(read.landmarks, [[[0, 0]]])
    assert notes.changes.counts == {"turned upright, as the picture's EXIF tag says": 1}


@pytest.mark.parametrize(
    ("stated", "box", "change"),
    [
        ((100, 80), [10, 20, 40, 60], ""),
        ((200, 160), [5, 10, 20, 30], "scaled to the picture, annotated at another size"),
        (
            (1003, 801),
            [10 * 100 / 1003, 20 * 80 / 801, 40 * 100 / 1003, 60 * 80 / 801],
            "scaled to the picture",
        ),
        ((80, 100), None, "annotated at 80 x 100 px, the picture has other proportions (100 x 80 px)"),
        ((100, 100), None, "annotated at 100 x 100 px"),
    ],
)
def test_annotations_at_another_size(tmp_path: Path, stated: tuple, box: list | None, change: str) -> None:
    picture(tmp_path / "a.jpg")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": stated[0], "height": stated[1]}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]}],
        "categories": [{"id": 1, "name": "ear"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    notes = Notes()
    read = read_annotations(tmp_path / "coco.json", notes=notes)
    np.testing.assert_allclose(read.boxes_xyxy, [box] if box else np.empty((0, 4)), atol=1e-4)
    said = notes.changes if box else notes.drops
    assert [reason for reason in said.counts if change and change in reason] or not change
    assert len(read.empty_images) == 0
    assert bool(notes.spoilt_images) == (box is None)


def ears(names_count: int) -> Manifest:
    points = np.column_stack([np.arange(names_count)] * 2)[None]
    return Manifest(np.array(["a.jpg"]), np.array([[0, 0, 9, 9]]), points)


def test_points_are_ordered_by_their_names() -> None:
    scheme = Scheme(("tip", "lobe", "tragus apex"), {}, [0, 1, 2])
    changes = Drops()
    read = in_scheme_order(ears(3), ("Tragus_Apex", "tip", "lobe"), scheme, "x", changes)
    assert read.landmarks[0, :, 0].tolist() == [1, 2, 0]
    assert list(changes.counts) == ["points put into the scheme's order by their names"]
    read = in_scheme_order(ears(4), ("nose", "tip", "lobe", "tragus apex"), scheme, "x", changes)
    assert read.landmarks[0, :, 0].tolist() == [1, 2, 3]
    assert "point not in the scheme, left out: nose" in changes.counts
    read = in_scheme_order(ears(2), ("lobe", "tip"), scheme, "x", changes)
    assert read.visibility.tolist() == [[2, 2, 0]]
    assert "point not in the file: tragus apex" in changes.counts


def test_names_that_count_give_the_order_and_foreign_names_are_refused() -> None:
    changes = Drops()
    read = in_scheme_order(ears(3), ("p10", "p2", "p1"), load_scheme(), "x", changes)
    assert read.landmarks[0, :, 0].tolist() == [2, 1, 0]
    assert list(changes.counts) == ["points sorted by the numbers in their names"]
    unchanged = in_scheme_order(ears(3), ("1", "2", "3"), load_scheme(), "x", Drops())
    assert unchanged.landmarks[0, :, 0].tolist() == [0, 1, 2]
    body = ("nose", "left_eye", "right_eye")
    three = Scheme(("tip", "lobe", "tragus apex"), {}, [0, 1, 2])
    with pytest.raises(
        UserError, match=r"called nose, left_eye, right_eye; the scheme's are tip.*--points as-is"
    ):
        in_scheme_order(ears(3), body, three, "x", changes)
    with pytest.raises(UserError, match="Did you mean 'tragus apex'"):
        in_scheme_order(ears(3), ("tip", "lobe", "tragus apx"), three, "x", changes)


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        ("1.5 2", ["1.5", "2"]),
        ("1,5 2,25", ["1.5", "2.25"]),
        ("1.5, 2", ["1.5", "2"]),
        ("1.5,2", ["1.5", "2"]),
        ("1,5;2,25", ["1.5", "2.25"]),
        ("-1 -1", ["-1", "-1"]),
        ("12, 5", ["12", "5"]),
        ("", []),
    ],
)
def test_numbers_of_a_line(line: str, numbers: list[str]) -> None:
    assert split_numbers(line) == numbers


def yolo(folder: Path, *lines: str, description: str = "names: {0: ear}\n") -> Path:
    for number, line in enumerate(lines):
        picture(folder / "images" / f"{number}.jpg")
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{number}.txt").write_text(line)
    (folder / "data.yaml").write_text(description)
    return folder


@pytest.mark.parametrize(
    ("lines", "kind", "boxes"),
    [
        (["0 .5 .5 .2 .5"], "yolo", [[40, 20, 60, 60]]),
        (["0,0.5,0.5,0.2,0.5"], "yolo", [[40, 20, 60, 60]]),
        (["0 0,5 0,5 0,2 0,5"], "yolo", [[40, 20, 60, 60]]),
        (["0 .5 .5 .2 .5 .75"], "yolo", [[40, 20, 60, 60]]),  # with a confidence
        (["0 .1 .2 .4 .2 .4 .6 .1 .6"], "yolo-polygons", [[10, 16, 40, 48]]),  # an oriented box
        (
            ["0 .1 .2 .4 .3 .2 .6", "0 .1 .2 .4 .2 .4 .6 .2 .7"],
            "yolo-polygons",
            [[10, 16, 40, 48], [10, 16, 40, 56]],
        ),
        (["0 .1 .1 .9 .1 .9 .9", "0 .5 .5 .2 .5"], "yolo-polygons", [[10, 8, 90, 72], [40, 20, 60, 60]]),
        (["0 .5 .5 .2 .5 .45 .4 2 .55 .6 0"], "yolo-pose", [[40, 20, 60, 60]]),
        (["0 .5 .5 .2 .4 .41 .31 .59 .69"], "yolo-pose", [[40, 24, 60, 56]]),  # points from edge to edge
    ],
)
def test_columns_of_yolo_are_recognised(tmp_path: Path, lines: list[str], kind: str, boxes: list) -> None:
    folder = yolo(tmp_path, *lines)
    assert detect_format(folder) == kind
    np.testing.assert_allclose(read_annotations(folder).boxes_xyxy, boxes, atol=1e-4)


def test_doubtful_columns_of_yolo_are_refused_with_all_readings(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "0 .5 .5 .4 .4 .6 .52 .45 .55 .51 .6")
    with pytest.raises(UserError) as error:
        detect_format(folder)
    for reading in (
        "a box and 2 points of x, y, visib",
        "a box and 3 points of x, y ",
        "a polygon of 5 corners",
    ):
        assert reading in str(error.value)
    assert "--format yolo, yolo-pose or yolo-polygons" in str(error.value)
    assert len(read_annotations(folder, "yolo-polygons")) == 1


def test_confidences_become_scores_and_names_of_points_are_read(tmp_path: Path) -> None:
    read = read_annotations(yolo(tmp_path / "a", "0 .5 .5 .2 .5 .75"))
    assert read.scores.tolist() == [0.75]
    description = "names: [ear]\nkpt_shape: [2, 3]\nkpt_names: {0: [lobe, tip]}\n"
    notes = Notes()
    read_annotations(
        yolo(tmp_path / "b", "0 .5 .5 .2 .5 .5 .5 2 .5 .4 1", description=description), notes=notes
    )
    assert notes.point_names == ("lobe", "tip")


@pytest.mark.parametrize("file", ["classes.txt", "obj.names", "labels/classes.txt"])
def test_names_of_classes_beside_the_labels(tmp_path: Path, file: str) -> None:
    folder = yolo(tmp_path, "0 .5 .5 1 1\n1 .5 .5 .2 .5\n")
    (folder / "data.yaml").unlink()
    (folder / file).write_bytes(b"\xef\xbb\xbfperson\r\nEar\r\n")
    notes = Notes()
    read = read_annotations(folder, notes=notes)
    assert read.boxes_xyxy.tolist() == [[40, 20, 60, 60]]
    assert notes.lines == ["class taken: Ear (1); left out: person (1)"]
    with pytest.raises(UserError, match="no class 'nose'"):
        read_annotations(folder, options=ReadOptions(category="nose"))
    (folder / file).unlink()
    with pytest.raises(UserError, match=r"no class is named ear.*class 0 \(1\), class 1 \(1\)"):
        read_annotations(folder)
    assert len(read_annotations(folder, options=ReadOptions(category="class 1"))) == 1
