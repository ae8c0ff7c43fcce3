"""No photograph on two sides: versions by name and by looks, and the split that a data set has already."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from configs.build import configured
from configs.errors import UserError
from data.formats.drops import Drops
from data.formats.options import ReadOptions
from data.formats.rules.notes import Notes
from data.formats.yolo import read as read_yolo
from data.images import read_image
from data.manifest import read_manifest
from data.preparation.checks import check_images
from data.preparation.looks import looks_of, pairs_alike
from data.preparation.own_split import with_own_split
from data.preparation.parts import Part
from data.preparation.photograph_names import photograph_names
from data.preparation.reading import read_part
from data.preparation.same_photograph import same_photographs
from data.prepare import Config, main

HASH = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("added", "suffix"),
    [
        (f"_jpg.rf.{HASH}", ".jpg"),
        (".rf.AbCdEf0123456789", ".jpg"),
        (" (1)", ".jpg"),
        (" - Copy", ".jpg"),
        (" - Copy (2)", ".jpg"),
        ("-copy", ".png"),
        ("_mirror", ".png"),
        ("_flipped", ".png"),
        ("_aug_3", ".jpg"),
        ("-rot90", ".jpg"),
        ("_brightness_1.25", ".jpg"),
        ("_hflip_aug2", ".jpg"),
        ("", ".webp"),
    ],
)
def test_what_tools_add_to_a_name_is_taken_off(added: str, suffix: str) -> None:
    names = photograph_names(["a/IMG_0001.jpg", f"a/IMG_0001{added}{suffix}", f"b/IMG_0001{added}{suffix}"])
    assert names["a/IMG_0001.jpg"] == names[f"a/IMG_0001{added}{suffix}"] == "a/img_0001"
    assert not names[f"b/IMG_0001{added}{suffix}"].startswith("a/")  # folders number anew


def test_different_photographs_keep_different_names() -> None:
    kept = [
        "x_1",
        "x_2",
        "subject-01",
        "mirror_1",
        "flip",
        "bright",
        "earmirror",
        "dark blue",
        "(1)",
        "2 (3)",
    ]
    numbered = [f"ear ({number})" for number in range(1, 30)]  # as Windows renames many files at once
    conditions = [f"left_dark_{number:03d}" for number in range(30)]
    paths = [f"a/{stem}.jpg" for stem in (*kept, *numbered, *conditions)]
    assert len(set(photograph_names(paths).values())) == len(paths)


def versions(rgb: np.ndarray) -> dict[str, np.ndarray]:
    picture = Image.fromarray(rgb)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=40)
    return {
        "mirrored": np.asarray(ImageOps.mirror(picture)),
        "re-encoded": np.asarray(Image.open(file)),
        "brighter": np.asarray(ImageEnhance.Brightness(picture).enhance(1.15)),
        "darker": np.asarray(ImageEnhance.Brightness(picture).enhance(0.5)),
        "shrunk": np.asarray(picture.resize((rgb.shape[1] // 2, rgb.shape[0] // 2))),
        "grey": np.asarray(picture.convert("L").convert("RGB")),
    }


def test_rendered_ears_are_alike_in_all_versions_and_unlike_each_other(rendered: Path) -> None:
    paths = sorted((rendered / "images").rglob("*.jpg"))
    different = [looks_of(read_image(path)) for path in paths]
    assert len(different) > 40
    assert list(pairs_alike(different)) == []
    for path, looks in list(zip(paths, different, strict=True))[:12]:
        for name, version in versions(read_image(path)).items():
            assert list(pairs_alike([looks, b"", looks_of(version)])) == [(0, 2)], (path, name)


def test_pictures_that_show_nothing_are_not_alike() -> None:
    plain = [np.full((40, 60, 3), level, np.uint8) for level in (0, 90, 90, 255)]
    assert [looks_of(picture) for picture in plain] == [b""] * 4
    assert list(pairs_alike([b""] * 4)) == list(pairs_alike([])) == []


def test_alike_is_up_to_44_of_256_bits_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.preparation.looks._ROWS_AT_ONCE", 2)
    bits = np.random.default_rng(0).integers(0, 2, (5, 512), np.uint8)
    bits[3], bits[4] = bits[0], bits[0]
    bits[3, :44] ^= 1  # plain against plain: 44 bits differ
    bits[4, :45] ^= 1
    bits[2, 256:] = bits[1, :256]  # the mirror image of one is the other
    looks = [np.packbits(row).tobytes() for row in bits]
    assert set(pairs_alike(looks)) == {(0, 3), (1, 2), (3, 4)}


def yolo_set(folder: Path, rendered: Path, sides: dict[str, int]) -> Path:
    """side -> images/ and labels/ of so many ears; the data.yaml is Roboflow's, '../' and all."""
    images = sorted((rendered / "images").rglob("*_0.jpg"))
    for side, count in sides.items():
        for part in ("images", "labels"):
            (folder / side / part).mkdir(parents=True)
        for number in range(count):
            shutil.copy(images.pop(), folder / side / "images" / f"{side}_{number}.jpg")
            (folder / side / "labels" / f"{side}_{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    lines = "".join(
        f"{side.replace('valid', 'val')}: ../{side}/images\n" for side in ("train", "valid", "test")
    )
    (folder / "data.yaml").write_text(lines + "names: ['ear']\n")
    return folder / "data.yaml"


def sides_of(output: Path) -> dict[str, list[str]]:
    """Side -> names of its images."""
    found = {}
    for side in ("train", "val", "test"):
        file = output / f"{side}_teacher.npy"
        names = read_manifest(file).image_paths if file.exists() else []
        found[side] = sorted(Path(path).name for path in names)
    return found


def read(path: Path) -> Part:
    return read_part(path, "", "auto", ReadOptions(), "as-is", None, Drops(), Drops())


def prepare(path: Path, output: Path, **options: object) -> dict[str, list[str]]:
    return sides_of(main(configured(Config, input=(path,), output_dir=output, num_workers=0, **options)))


def test_the_split_of_a_data_yaml_is_kept(
    tmp_path: Path, rendered: Path, capsys: pytest.CaptureFixture
) -> None:
    path = yolo_set(tmp_path / "set", rendered, {"train": 6, "valid": 2, "test": 2})
    kept = prepare(path, tmp_path / "kept")
    assert [{name.split("_")[0] for name in names} for names in kept.values()] == [
        {"train"},
        {"valid"},
        {"test"},
    ]
    assert [len(names) for names in kept.values()] == [6, 2, 2]
    assert "own split (train 6, val 2, test 2 images) is kept; --resplit" in capsys.readouterr().out
    anew = prepare(path, tmp_path / "anew", resplit=True, val_fraction=0.3, test_fraction=0.3)
    assert [len(names) for names in anew.values()] == [4, 3, 3]
    with pytest.raises(
        UserError, match=r"--val-input is given, but .* Leave --val-input out, or add --resplit"
    ):
        prepare(path, tmp_path / "no", val_input=(path,))
    copy = tmp_path / "set/train/images/train_9.png"  # the same photograph as one of the test's
    Image.open(tmp_path / "set/test/images/test_0.jpg").save(copy)
    copy.parent.with_name("labels").joinpath("train_9.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    assert prepare(path, tmp_path / "again") == kept
    assert "on another side of the data set's own split" in capsys.readouterr().out


def test_entries_that_lead_nowhere(tmp_path: Path, rendered: Path, capsys: pytest.CaptureFixture) -> None:
    path = yolo_set(tmp_path / "set", rendered, {"train": 4, "valid": 2})
    path.write_text("train: train/images\nval: validation/images\nnames: [ear]\n")
    for given in (path, path.parent):
        with pytest.raises(
            UserError, match=r"'val: validation/images' leads nowhere; images lie in valid/images"
        ):
            read_yolo(given, ReadOptions(), Notes())
    path.write_text("train: /content/e/train/images\nval: /content/e/valid/images\nnames: [ear]\n")
    with pytest.raises(UserError, match=r"lead nowhere; images lie in train/images, valid/images"):
        read_yolo(path, ReadOptions(), Notes())
    path.write_text("train: train/images\nnames: [ear]\n")
    notes = Notes()
    assert len(read_yolo(path, ReadOptions(), notes)) == 4
    assert notes.drops.counts == {"image that no entry of data.yaml lists, not used": 2}
    shutil.rmtree(tmp_path / "set/valid")
    path.write_text("train: train/images\nval: ../valid/images\nnames: [ear]\n")  # as Roboflow, without any
    assert len(read(path).manifest) == 4
    assert "nothing lies where 'val: ../valid/images' leads" in capsys.readouterr().out


def test_folders_and_inputs_named_like_sides_are_a_split(tmp_path: Path, rendered: Path) -> None:
    yolo_set(tmp_path / "set", rendered, {"train": 3, "valid": 1}).unlink()
    part = read(tmp_path / "set")
    (split,) = with_own_split([part], [tmp_path / "set"])
    assert sorted(split.own_sides.values()) == ["train"] * 3 + ["val"]
    alone = replace(part, manifest=part.manifest.select(np.flatnonzero([True, True, True, False])))
    assert with_own_split([alone], [tmp_path / "set"])[0].own_sides == {}  # train alone is no split
    files = [tmp_path / "instances_train2017.json", tmp_path / "instances_val2017.json"]
    moved = [
        replace(p, manifest=replace(p.manifest, image_paths=np.array(["a.jpg"] * len(p.manifest))))
        for p in (part, part)
    ]
    found = with_own_split(moved, files)
    assert [set(one.own_sides.values()) for one in found] == [{"train"}, {"val"}]


def test_versions_are_counted_and_said(tmp_path: Path, rendered: Path) -> None:
    photographs = sorted((rendered / "images").rglob("*_0.jpg"))[:3]
    for number, photograph in enumerate(photographs):
        picture = Image.open(photograph)
        picture.save(tmp_path / f"a{number}.png")
        picture.save(tmp_path / f"a{number} (1).jpg", quality=80)
        ImageOps.mirror(picture).save(tmp_path / f"other{number}.png")
    shutil.copy(tmp_path / "a0.png", tmp_path / "same.png")
    found = same_photographs(check_images(map(str, sorted(tmp_path.iterdir())), 0))
    assert (found.images, found.photographs) == (10, 3)
    assert (found.copies, found.by_name, found.by_looks, found.largest) == (1, 3, 3, 4)
    assert str(found) == (
        "10 images are 3 photographs: 1 are copies by their bytes, 3 versions by their names, "
        "3 look like another; 4 count as one photograph"
    )
