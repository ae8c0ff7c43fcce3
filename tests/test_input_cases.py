"""Situations that users of tools report, through `data.prepare`: what comes out and what is said."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from configs.build import configured
from configs.errors import UserError
from data.landmarks import load_scheme
from data.manifest import Manifest, read_manifest
from data.prepare import Config, main

NAMES = load_scheme().names
BOX = [20.0, 10.0, 40.0, 50.0]  # x, y, width, height, in pictures of 100 x 80
POINTS = np.column_stack([np.linspace(22, 58, 17), np.linspace(12, 58, 17)[::-1]])


def photographs(folder: Path, count: int = 3, suffix: str = ".png") -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number}{suffix}" for number in range(count)]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 255, (80, 100, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name, **({"format": "JPEG"} if suffix == ".jfif" else {}))
    return names


def prepared(path: Path, **options: object) -> tuple[dict, Path]:
    """What prepare.json says, as {reason: count} of dropped and changed, and the folder."""
    output = path.parent / "out"
    fixed = {"val_fraction": 0, "test_fraction": 0, "num_workers": 0, "output_dir": output}
    main(configured(Config, input=(path,), **(fixed | options)))
    summary = json.loads((output / "prepare.json").read_text())
    said = {
        kind: {entry["reason"]: entry["count"] for entry in summary[kind]} for kind in ("dropped", "changed")
    }
    return said, output


def coco(folder: Path, annotations: list, **changes: object) -> Path:
    names = photographs(folder)
    images = [{"id": n, "file_name": name, "width": 100, "height": 80} for n, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ear"}]}
    (folder / "coco.json").write_text(json.dumps(content | changes))
    return folder / "coco.json"


def boxed(image: int, **changes: object) -> dict:
    annotation = {"id": image, "image_id": image, "category_id": 1, "bbox": BOX}
    return {key: value for key, value in (annotation | changes).items() if value != "none"}


def frames(output: Path) -> Manifest:
    return read_manifest(output / "train_frames.npy")


def test_points_listed_in_another_order(tmp_path: Path) -> None:
    """Case 06: each point stands where its name says, and the change is said."""
    order = np.random.default_rng(3).permutation(17)
    keypoints = [value for place in order for value in (*POINTS[place], 2)]
    category = {"id": 1, "name": "ear", "keypoints": [NAMES[place] for place in order]}
    path = coco(tmp_path, [boxed(n, keypoints=keypoints) for n in range(3)], categories=[category])
    said, output = prepared(path)
    np.testing.assert_allclose(
        read_manifest(output / "train_labelled.npy").landmarks, [POINTS] * 3, atol=1e-4
    )
    assert said["changed"] == {"points put into the scheme's order by their names": 3}
    as_they_are, output = prepared(path, points="as-is")
    found = read_manifest(output / "train_labelled.npy").landmarks[0]
    np.testing.assert_allclose(found, POINTS[order], atol=1e-4)
    assert as_they_are["changed"] == {}


def test_body_points_are_no_ears(tmp_path: Path) -> None:
    """Case 07: neither the class nor, when it is asked for, the points are taken for ears."""
    body = [f"joint of the {name}" for name in "abcdefghijklmnopq"]
    people = {"id": 1, "name": "person", "keypoints": body}
    keypoints = [value for point in POINTS for value in (*point, 2)]
    path = coco(tmp_path, [boxed(n, keypoints=keypoints) for n in range(3)], categories=[people])
    with pytest.raises(UserError, match=r"no class is named ear.*person \(3\).*--category"):
        prepared(path)
    with pytest.raises(UserError, match="its points are called joint of the a.*--points as-is"):
        prepared(path, category="person")
    assert (
        len(read_manifest(prepared(path, category="person", points="as-is")[1] / "train_labelled.npy")) == 3
    )


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (boxed(0, iscrowd=1), "crowd annotation (several ears in one)"),
        (boxed(0, bbox="none"), "annotation without a box"),
        (boxed(0, bbox=[None] * 4), "annotation without a box"),
        (boxed(0, bbox=[]), "annotation without a box"),
        (boxed(0, bbox=5), "bbox that is not x, y, width, height"),
        (boxed(0, bbox={"x": 1}), "bbox that is not x, y, width, height"),
        (boxed(0, bbox="none", segmentation={"counts": [1], "size": [80, 100]}), "annotation without a box"),
        (boxed(0, bbox=[70, 10, 20, 30], keypoints=[1, 2]), "keypoints that are not x, y, v"),
    ],
)
def test_an_ear_that_cannot_be_used_spoils_its_photograph(tmp_path: Path, second: dict, reason: str) -> None:
    """Case 11: listed, and the detector does not learn that it is background; a copy neither."""
    path = coco(tmp_path / "set", [boxed(0), second, boxed(1)])
    said, output = prepared(path)
    assert said["dropped"] == {reason: 1}
    assert [Path(name).name for name in frames(output).image_paths] == ["1.png"]
    assert [Path(name).name for name in frames(output).empty_images] == ["2.png"]
    assert len(read_manifest(output / "train_teacher.npy")) == 2
    with pytest.raises(UserError, match=r"--strict, and something is broken; nothing was written:\n +1  "):
        prepared(path, strict=True)


def test_a_photograph_whose_only_ear_is_lost_is_not_without_ears(tmp_path: Path) -> None:
    said, output = prepared(coco(tmp_path, [boxed(0), boxed(1, bbox="none")]))
    assert [Path(name).name for name in frames(output).empty_images] == ["2.png"]


@pytest.mark.parametrize(
    "changes",
    [
        {"images": [{"id": str(n), "file_name": f"{n}.png"} for n in range(3)]},
        {"images": [{"id": "1" if n == 1 else n, "file_name": f"{n}.png"} for n in range(3)]},
        {"annotations": [boxed(n, category_id="1") for n in range(3)]},
        {"categories": [{"id": 1, "supercategory": "ear"}]},
        {"categories": None},
        {"annotations": [boxed(n, keypoints=None) for n in range(3)]},
        {"annotations": [boxed(n, bbox=list(map(str, BOX))) for n in range(3)]},
    ],
)
def test_odd_types_of_coco_lose_nothing(tmp_path: Path, changes: dict) -> None:
    """Case 11: identities are compared as text; a single class needs no name."""
    said, output = prepared(coco(tmp_path, **({"annotations": [boxed(n) for n in range(3)]} | changes)))
    assert said["dropped"] == {}
    assert frames(output).boxes_xyxy.tolist() == [[20, 10, 60, 60]] * 3


def test_a_box_is_drawn_round_points_without_one(tmp_path: Path) -> None:
    keypoints = [value for point in POINTS for value in (*point, 2)]
    said, output = prepared(coco(tmp_path, [boxed(n, bbox="none", keypoints=keypoints) for n in range(3)]))
    np.testing.assert_allclose(frames(output).boxes_xyxy, [[22.5, 12.5, 58.5, 58.5]] * 3)
    assert said["changed"] == {"no box, drawn round the points": 3}


def pts_text(points: np.ndarray = POINTS) -> str:
    lines = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in points)
    return f"version: 1\nn_points: 17\n{{\n{lines}\n}}\n"


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda text: text, ""),
        (lambda text: text.replace("\n", "\r\n"), ""),
        (lambda text: "\ufeff" + text, ""),
        (lambda text: text.replace("version: 1\n", ""), ""),
        (lambda text: text.replace(": ", ":"), ""),
        (lambda text: text.replace("n_points", "// ear\nn_points"), ""),
        (lambda text: text.replace("{", "image: 0.png\n{"), ""),
        (lambda text: text.replace("}", ""), ".pts without the closing brace"),
        (lambda text: text.replace(".", ","), ""),
        (
            lambda text: "\n".join(
                line.replace(" ", ", ") if "." in line else line for line in text.split("\n")
            ),
            "",
        ),
        (lambda text: text[text.index("{") + 2 : text.index("}")], ".pts without a header"),
    ],
)
def test_pts_as_people_write_them(tmp_path: Path, change: object, changed: str) -> None:
    """Case 08: good files are read to the same points."""
    photographs(tmp_path / "ears", 1)
    (tmp_path / "ears" / "0.pts").write_bytes(change(pts_text()).encode())
    said, output = prepared(tmp_path / "ears")
    np.testing.assert_allclose(read_manifest(output / "train_labelled.npy").landmarks, [POINTS], atol=2e-3)
    assert said["dropped"] == {}
    assert [reason for reason in said["changed"] if reason.startswith(changed)] or not changed


@pytest.mark.parametrize("suffix", [".Jpg", ".jfif", ".PNG"])
def test_pts_beside_images_of_other_suffixes_and_hidden_points(tmp_path: Path, suffix: str) -> None:
    photographs(tmp_path / "ears", 2, suffix)
    hidden = pts_text().replace(pts_text().split("\n")[3], "-1 -1")
    for number in range(2):
        (tmp_path / "ears" / f"{number}.pts").write_text(hidden)
    said, output = prepared(tmp_path / "ears")
    read = read_manifest(output / "train_labelled.npy")
    assert read.visibility[:, 0].tolist() == [0, 0]
    np.testing.assert_allclose(
        read.boxes_xyxy[0], [*(POINTS[1:].min(0) + 0.5), *(POINTS[1:].max(0) + 0.5)], atol=2e-3
    )
    assert said["changed"] == {"point written as -1 -1 or 0 0, taken as not annotated": 2}


@pytest.mark.parametrize("ignores_exif", [True, False])
def test_pictures_on_their_side(tmp_path: Path, ignores_exif: bool) -> None:
    """Case 01: the box lies on the same pixels, whether the tool knew of the EXIF tag or not."""
    photographs(tmp_path, 1)
    upright = Image.open(tmp_path / "0.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "0.jpg", exif=exif.tobytes())
    x, y, width, height = BOX
    seen = {"bbox": [y, 100 - x - width, height, width]} if ignores_exif else {"bbox": BOX}
    size = (80, 100) if ignores_exif else (100, 80)
    images = [{"id": 0, "file_name": "0.jpg", "width": size[0], "height": size[1]}]
    said, output = prepared(coco(tmp_path, [boxed(0, **seen)], images=images))
    assert frames(output).boxes_xyxy.tolist() == [[20, 10, 60, 60]]
    assert ImageOps.exif_transpose(Image.open(tmp_path / "0.jpg")).size == (100, 80)
    assert bool(said["changed"]) == ignores_exif


@pytest.mark.parametrize(
    "name", ["x.xml", "x.json", "boxes.csv", "x.mat", "notes.txt", "x.h5", "x.yaml", "x.tfrecord"]
)
def test_annotations_that_are_not_known_make_no_crops(tmp_path: Path, name: str) -> None:
    """Case 13: whole scenes are taken for ears only when asked for."""
    photographs(tmp_path / "set")
    (tmp_path / "set" / name).write_text("{}")
    (tmp_path / "set" / "README.md").write_text("about")
    with pytest.raises(UserError, match=rf"holds {name}.*--list-formats.*--format crops"):
        prepared(tmp_path / "set")
    said, output = prepared(tmp_path / "set", format="crops")
    assert len(read_manifest(output / "train_teacher.npy")) == 3
    assert said["dropped"] == {"file that may hold annotations, not read": 1}


def test_images_that_no_annotation_names_are_listed(tmp_path: Path) -> None:
    names = photographs(tmp_path / "set")
    (tmp_path / "set" / "boxes.csv").write_text(
        f"filename,class,xmin,ymin,xmax,ymax\n{names[0]},ear,20,10,60,60\n"
    )
    said, output = prepared(tmp_path / "set", strict=True)  # nothing is broken
    assert said["dropped"] == {"image that no annotation names, not used": 2}
    assert len(frames(output).empty_images) == 0


def test_ears_of_one_side(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "l_ear"}, {"id": 2, "name": "r_ear"}]
    annotations = [boxed(0), boxed(0, category_id=2, bbox=[65, 10, 30, 50]), boxed(1)]
    path = coco(tmp_path, annotations, categories=categories)
    assert len(frames(prepared(path)[1])) == 3
    said, output = prepared(path, side="left")
    assert said["dropped"] == {"an ear of the other side": 1}
    assert len(read_manifest(output / "train_teacher.npy")) == 2
    assert [Path(name).name for name in frames(output).image_paths] == [
        "1.png"
    ]  # the other ear is no background


def test_the_formats_are_listed(capsys: pytest.CaptureFixture) -> None:
    assert main(configured(Config, list_formats=True)) is None
    shown = capsys.readouterr().out
    for name in ("voc", "cvat", "labelme", "label-studio", "via", "deeplabcut", "csv"):
        assert f"\n{name}: " in shown
    with pytest.raises(UserError, match="--input: give at least one"):
        configured(Config)
