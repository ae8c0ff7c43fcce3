"""Exports in the layouts that the tools' documentation shows (tests/exports), read to values by hand."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import UserError
from data.formats import detect_format, read_annotations
from data.formats.options import ReadOptions
from data.formats.rules.notes import Notes
from data.manifest import Manifest

EXPORTS = Path(__file__).parent / "exports"
NAN = np.nan


def read(
    folder: Path, export: str, *pictures: str, to: str = "", **options: object
) -> tuple[Manifest, Notes]:
    """An export beside pictures of 100 x 80 px (`name:WxH` for others)."""
    for picture in pictures:
        name, _, size = picture.partition(":")
        width, height = map(int, (size or "100x80").split("x"))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height)).save(folder / name)
    target = folder / (to or export)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(EXPORTS / export, target)
    notes = Notes()
    return read_annotations(target, options=ReadOptions(**options), notes=notes), notes


def names(paths: np.ndarray) -> list[str]:
    return [Path(path).name for path in paths.tolist()]


def test_labelimg(tmp_path: Path) -> None:
    manifest, notes = read(tmp_path, "labelimg.xml", "anna left.jpg")
    assert detect_format(tmp_path / "labelimg.xml") == detect_format(tmp_path) == "voc"
    assert manifest.boxes_xyxy.tolist() == [[12, 20, 42, 66]]
    assert names(manifest.image_paths) == ["anna left.jpg"]
    assert notes.lines == ["class taken: ear (1); left out: nose (1)"]
    assert notes.drops.counts == {"annotation of another class": 1}


def test_cvat_for_images(tmp_path: Path) -> None:
    """Coordinates run from the corner of the picture: half a pixel less for a pixel's centre."""
    manifest, notes = read(
        tmp_path, "cvat_images.xml", "photos/a.jpg", "photos/b.jpg", "photos/wall.jpg:60x40"
    )
    assert detect_format(tmp_path / "cvat_images.xml") == "cvat"
    assert manifest.boxes_xyxy.tolist() == [[10, 12.5, 40.25, 70], [60, 10, 80, 55]]
    assert notes.point_names == ("3", "1", "2")
    np.testing.assert_allclose(manifest.landmarks[0], [[NAN, NAN], [20, 30], [29.5, 60.25]])
    assert manifest.visibility.tolist() == [[0, 2, 1], [0, 0, 0]]
    assert names(manifest.empty_images) == ["wall.jpg"]
    assert notes.drops.counts == {"points without names": 1}  # three bare points, where a skeleton has names
    assert notes.spoilt_images == {str(tmp_path / "photos" / "b.jpg")}
    assert notes.changes.counts["polygon, taken as the box round it"] == 1


def test_labelme(tmp_path: Path) -> None:
    manifest, notes = read(tmp_path, "labelme.json", "photos/a.jpg", to="json/a.json")
    assert detect_format(tmp_path / "json" / "a.json") == "labelme"
    assert manifest.image_paths.tolist() == [str(tmp_path / "photos" / "a.jpg")] * 2
    assert manifest.boxes_xyxy.tolist() == [[10, 12.5, 40, 70], [60, 10, 90, 60]]
    assert notes.point_names == ("tragus apex", "subaurale")
    np.testing.assert_allclose(manifest.landmarks[0], [[30, 40], [21.5, 68.75]])
    assert manifest.visibility.tolist() == [[2, 2], [0, 0]]
    assert notes.drops.counts == {"annotation of another class": 1}


def test_label_studio(tmp_path: Path) -> None:
    """10 % of 100 px, 15.625 % of 80 px: 10, 12.5; the first point at 20.5, 40.5 from the corner."""
    manifest, notes = read(tmp_path, "label_studio.json", "a.jpg", "photos/wall b.jpg")
    assert detect_format(tmp_path / "label_studio.json") == "label-studio"
    assert names(manifest.image_paths) == ["a.jpg"]
    np.testing.assert_allclose(manifest.boxes_xyxy, [[10, 12.5, 40, 70]], atol=1e-4)
    assert notes.point_names == ("tragus apex", "subaurale")
    np.testing.assert_allclose(manifest.landmarks[0], [[20, 40], [29.5, 59.5]], atol=1e-4)
    assert names(manifest.empty_images) == ["wall b.jpg"]
    assert notes.drops.counts == {"task that nobody has annotated, not used": 1}


def test_label_studio_min_with_a_turned_rectangle(tmp_path: Path) -> None:
    """20 x 40 px turned by 90 degrees clockwise about its corner (10, 20): x from -30 to 10, y 20 to 40."""
    manifest, notes = read(tmp_path, "label_studio_min.json", "a.jpg")
    assert detect_format(tmp_path / "label_studio_min.json") == "label-studio"
    np.testing.assert_allclose(manifest.boxes_xyxy, [[-30, 20, 10, 40]], atol=1e-4)
    assert notes.changes.counts["turned rectangle, taken as the box round it"] == 1


def test_via_project(tmp_path: Path) -> None:
    manifest, notes = read(tmp_path, "via_project.json", "a.jpg", "wall.jpg")
    assert detect_format(tmp_path / "via_project.json") == "via"
    assert manifest.boxes_xyxy.tolist() == [[10, 12, 40, 62], [60, 10, 80, 55]]
    np.testing.assert_allclose(manifest.landmarks[0], [[19.5, 29.5]])
    assert notes.point_names == ("tragus apex",)
    assert names(manifest.empty_images) == ["wall.jpg"]


def test_via_csv(tmp_path: Path) -> None:
    manifest, _ = read(tmp_path, "via.csv", "a.jpg", "wall.jpg")
    assert detect_format(tmp_path / "via.csv") == "via"
    assert manifest.boxes_xyxy.tolist() == [[10, 12, 40, 62]]
    assert names(manifest.empty_images) == ["wall.jpg"]


def test_deeplabcut(tmp_path: Path) -> None:
    """Points as they are; the box is their extent, which is half a pixel more on the scale of edges."""
    pictures = [f"img00{number}.png" for number in (1, 2, 3)]
    manifest, notes = read(tmp_path, "CollectedData_anna.csv", *pictures)
    assert detect_format(tmp_path / "CollectedData_anna.csv") == "deeplabcut"
    assert names(manifest.image_paths) == ["img001.png", "img002.png"]
    assert notes.point_names == ("ear_10", "ear_2", "ear_1")
    np.testing.assert_allclose(manifest.landmarks[0], [[40.5, 20.25], [30, 60], [10, 12.5]])
    assert manifest.visibility.tolist() == [[2, 2, 2], [2, 0, 2]]
    np.testing.assert_allclose(manifest.boxes_xyxy[0], [10.5, 13, 41, 60.5])
    assert notes.drops.counts == {"row without any point, its picture is not used": 1}
    assert len(manifest.empty_images) == 0  # nobody has said that the third shows no ear


def test_deeplabcut_of_several_individuals(tmp_path: Path) -> None:
    manifest, notes = read(tmp_path, "CollectedData_two.csv", "clip/img001.png", "clip/img002.png")
    np.testing.assert_allclose(
        manifest.landmarks, [[[10, 20], [30, 60]], [[50, 21], [70, 61]], [[12, 22], [32, 62]]]
    )
    assert notes.lines == ["class taken: left ear (2), right ear (1)"]
    left, _ = read(tmp_path, "CollectedData_two.csv", side="left")
    assert left.landmarks[:, 0, 0].tolist() == [10, 12]


def test_tensorflows_table(tmp_path: Path) -> None:
    """The second picture was annotated at 200 x 160 px and is half as large."""
    manifest, notes = read(tmp_path, "boxes_tensorflow.csv", "a.jpg", "b.jpg")
    assert detect_format(tmp_path / "boxes_tensorflow.csv") == "csv"
    assert manifest.boxes_xyxy.tolist() == [[10, 12, 40, 70], [10, 12, 40, 70]]
    assert notes.changes.counts == {"scaled to the picture, annotated at another size": 1}


def test_a_table_from_excel(tmp_path: Path) -> None:
    manifest, notes = read(tmp_path, "boxes_excel.csv", "a.jpg")
    assert manifest.boxes_xyxy.tolist() == [[10.5, 12, 40.5, 70.25]]
    assert notes.lines[0] == "the four numbers are read as left, top, width, height"
    assert notes.drops.counts == {"row whose box is not four numbers": 1}
    assert notes.spoilt_images == {str(tmp_path / "a.jpg")}


def test_tables_of_fractions_and_without_a_header(tmp_path: Path) -> None:
    manifest, notes = read(tmp_path, "boxes_openimages.csv", "a.jpg")
    np.testing.assert_allclose(manifest.boxes_xyxy, [[10, 20, 40, 60]], atol=1e-5)
    assert notes.lines[0] == "columns that are not read: Source, Confidence, IsOccluded"
    assert "fractions of the picture" in notes.lines[1]
    manifest, _ = read(tmp_path, "boxes_retinanet.csv", "photos/a.jpg", "photos/wall.jpg")
    assert manifest.boxes_xyxy.tolist() == [[10, 12, 40, 70]]
    assert names(manifest.empty_images) == ["wall.jpg"]


def test_coco_as_cvat_writes_it(tmp_path: Path) -> None:
    manifest, notes = read(
        tmp_path, "coco_cvat.json", "images/default/a.jpg", to="annotations/person_keypoints_default.json"
    )
    assert detect_format(tmp_path) == "coco"
    assert manifest.image_paths.tolist() == [str(tmp_path / "images" / "default" / "a.jpg")]
    assert manifest.boxes_xyxy.tolist() == [[10, 12, 40, 70]]
    assert manifest.landmarks.tolist() == [[[22, 69], [30, 40]]]
    assert manifest.visibility.tolist() == [[2, 1]]
    assert notes.point_names == ("subaurale", "tragus apex")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_and_line_ends_of_windows(tmp_path: Path, encoding: str) -> None:
    for export in ("boxes_tensorflow.csv", "CollectedData_anna.csv", "label_studio.json"):
        text = (EXPORTS / export).read_text().replace("\n", "\r\n")
        (tmp_path / export).write_bytes(text.encode(encoding))
    for name in ("a.jpg", "b.jpg", "img001.png", "img002.png"):
        Image.new("RGB", (100, 80)).save(tmp_path / name)
    assert len(read_annotations(tmp_path / "boxes_tensorflow.csv")) == 2
    assert len(read_annotations(tmp_path / "CollectedData_anna.csv")) == 2
    if encoding != "utf-16-le":  # JSON of UTF-16 bears a mark, or is told by its first bytes
        assert len(read_annotations(tmp_path / "label_studio.json")) == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xml", "<svg/>", r"XML of no known tool \(it is <svg>\)"),
        ("a.json", '{"hello": 1}', r"JSON of no known tool \(it holds hello\)"),
        ("a.json", '[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]', "COCO results"),
        ("a.csv", "a;b\n1;2\n", r"columns a, b; wanted are filename, class, xmin"),
        ("a.csv", "scorer,m,m,m\nbodyparts,p,p,p\ncoords,x,y,likelihood\n0,1,2,0.9\n", "predictions"),
        ("a.xml", "<annotations><track id='0'/></annotations>", "CVAT for images"),
        (
            "a.xml",
            '<!DOCTYPE a [<!ENTITY e "x">]><annotations><image name="&e;"/></annotations>',
            "not an XML file that can be read",
        ),
    ],
)
def test_files_of_no_known_layout_are_refused_by_name(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_annotations(tmp_path / name)


def test_numbers_without_names_that_may_be_sides_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a.jpg,40,30,20,25,ear\n")
    with pytest.raises(UserError, match=r"left, top, right, bottom or left, top, width, height"):
        read_annotations(tmp_path / "a.csv")


def test_one_broken_file_of_many_costs_one_file(tmp_path: Path) -> None:
    read(tmp_path, "labelimg.xml", "anna left.jpg", "second.jpg", "third.jpg")
    (tmp_path / "second.xml").write_text("<annotation><filename>second.jpg")
    notes = Notes()
    manifest = read_annotations(tmp_path, notes=notes)
    assert len(manifest) == 1
    assert sum(count for reason, count in notes.drops.counts.items() if "not an XML file" in reason) == 1


def test_two_formats_in_one_folder_are_a_doubt(tmp_path: Path) -> None:
    read(tmp_path, "labelimg.xml", "anna left.jpg")
    shutil.copy(EXPORTS / "boxes_tensorflow.csv", tmp_path)
    with pytest.raises(
        UserError, match=r"several formats: voc \(labelimg.xml\), csv \(boxes_tensorflow.csv\)"
    ):
        detect_format(tmp_path)
