"""Prepare: bad rows are dropped, counted and explained; no photograph stands on two sides."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.build import configured
from configs.errors import UserError
from data.crop_settings import CropSettings
from data.formats.drops import Drops
from data.landmarks import load_scheme
from data.manifest import Manifest, read_manifest, write_manifest
from data.preparation.checks import check_images, check_parts, kept_from_detector
from data.preparation.parts import Part
from data.preparation.reading import IBUG55
from data.preparation.sides import Item, choose_sides, grouped, source_of_path
from data.preparation.writing import write_sides
from data.prepare import Config, main


def photograph(path: Path, seed: int, width: int = 100, height: int = 80) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return str(path)


def manifest_of(folder: Path, ears: int = 20, landmarks: bool = False) -> Manifest:
    """Two ears a photograph."""
    paths = [photograph(folder / "images" / f"{ear // 2:03d}.png", ear // 2) for ear in range(ears)]
    boxes = [[10, 10, 40, 60] if ear % 2 == 0 else [55, 15, 90, 70] for ear in range(ears)]
    points = np.random.default_rng(1).uniform(0.1, 0.9, (ears, 17, 2))
    boxes = np.array(boxes, dtype=np.float32)
    points = boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])
    return Manifest(np.array(paths), boxes, points if landmarks else None)


def prepared(folder: Path, manifest: Manifest, **options: object) -> tuple[dict, Path]:
    """What prepare.json says, and the output folder."""
    source = write_manifest(folder / "raw.npy", manifest)
    config = configured(Config, input=(source,), output_dir=folder / "out", num_workers=0, **options)
    output = main(config)
    return json.loads((output / "prepare.json").read_text()), output


def dropped(summary: dict) -> dict[str, int]:
    return {entry["reason"]: entry["count"] for entry in summary["dropped"]}


def test_a_clean_set_is_split_by_photograph(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 40, landmarks=True)
    summary, output = prepared(tmp_path, manifest, val_fraction=0.2, test_fraction=0.1)
    assert summary["dropped"] == summary["changed"] == []
    sides = {side: read_manifest(output / f"{side}_teacher.npy") for side in ("train", "val", "test")}
    assert {side: len(ears) for side, ears in sides.items()} == {"train": 28, "val": 8, "test": 4}
    photographs = [set(ears.image_paths.tolist()) for ears in sides.values()]
    assert sum(map(len, photographs)) == len(set().union(*photographs)) == 20
    labelled = read_manifest(output / "val_labelled.npy", num_landmarks=17)
    assert labelled.image_paths.tolist() == sides["val"].image_paths.tolist()
    assert len(read_manifest(output / "test_frames.npy")) == 4
    assert sides["train"].landmarks is None
    assert (output / "run.yaml").exists()


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path)
    outputs = []
    for seed in (0, 0, 1):
        _, output = prepared(tmp_path, manifest, seed=seed)
        outputs.append((output / "val_teacher.npy").read_bytes())
    assert outputs[0] == outputs[1] != outputs[2]


def test_everything_bad_is_dropped_and_explained(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    manifest = manifest_of(tmp_path, 24, landmarks=True)
    boxes, points = manifest.boxes_xyxy.copy(), manifest.landmarks.copy()
    paths = list(manifest.image_paths)
    boxes[0] = [40, 10, 10, 60]
    boxes[2] = [10, 10, 10, 60]
    boxes[4, 0] = np.nan
    boxes[6] = [200, 200, 260, 260]
    boxes[8] = [10, 10, 13, 14]
    points[10, 3, 1] = np.nan  # its visibility says visible
    points[12] += 500  # of some other picture: far outside the image
    points[14] = [[95, 75]] * 17  # of the other ear
    boxes[16] = [-20, 10, 40, 60]  # partly outside: clipped
    Path(paths[18]).write_bytes(Path(paths[18]).read_bytes()[:300])
    paths[20] = str(tmp_path / "images" / "gone.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "images" / "dot.png")
    paths[22] = str(tmp_path / "images" / "dot.png")
    bad = replace(
        manifest,
        image_paths=np.array(paths),
        boxes_xyxy=boxes,
        landmarks=points,
        visibility=np.full((24, 17), 2),
    )
    summary, output = prepared(tmp_path, bad, val_fraction=0, test_fraction=0)
    reasons = dropped(summary)
    assert reasons.pop("inverted box (x2 < x1 or y2 < y1)") == 1
    assert reasons.pop("box of zero area") == 1
    assert reasons.pop("box with NaN or infinity") == 1
    assert reasons.pop("box wholly outside the image") == 1
    assert reasons.pop("box smaller than 8 px") == 1
    assert reasons.pop("annotated point with NaN or infinity") == 1
    assert reasons.pop("points lie far from the box") == 1
    unreadable = {reason: count for reason, count in reasons.items() if reason.startswith("unreadable image")}
    assert sorted(unreadable.values()) == [1, 1, 2]  # missing, 1 x 1, and truncated with two ears
    assert any("truncated" in reason for reason in unreadable)
    assert any("1 x 1 px" in reason for reason in unreadable)
    assert len(reasons) == 3
    changed = {entry["reason"]: entry["count"] for entry in summary["changed"]}
    assert changed == {
        "box partly outside the image, clipped": 1,
        "point outside the image, taken as not annotated": 17,
    }
    ears = read_manifest(output / "train_teacher.npy")
    assert len(ears) == 24 - 7 - 4
    assert [0, 10, 40, 60] in ears.boxes_xyxy.tolist()
    assert len(read_manifest(output / "train_labelled.npy")) == len(ears) - 1
    frames = set(read_manifest(output / "train_frames.npy").image_paths.tolist())
    spoilt = {path for row, path in enumerate(paths) if row in (0, 2, 4, 6, 8, 10, 14)}
    assert not frames & spoilt  # a detector would learn that the dropped ear is none
    (left_out,) = summary["not_for_detector"]
    assert left_out["count"] == len(spoilt) == 7
    assert left_out["reason"] == "photograph shows an ear that was dropped, not in *_frames.npy"
    shown = capsys.readouterr().out
    assert "not for the detector: 7\n" in shown
    for reason in dropped(summary):
        assert reason in shown


def test_no_ear_left_says_why(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 4)
    bad = replace(manifest, boxes_xyxy=manifest.boxes_xyxy[:, [2, 1, 0, 3]])
    with pytest.raises(UserError, match=r"no usable ear in .*raw\.npy:\n +4  inverted box"):
        prepared(tmp_path, bad)


def test_copies_of_a_photograph_stay_together_and_repeated_boxes_go(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 40)
    copies = []
    for path in manifest.image_paths:
        copy = tmp_path / "copies" / Path(path).name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(Path(path).read_bytes())
        copies.append(str(copy))
    moved = manifest.boxes_xyxy + 5  # another annotator
    doubled = Manifest(
        np.array([*manifest.image_paths, *copies, copies[0]]),
        np.concatenate([manifest.boxes_xyxy, moved, manifest.boxes_xyxy[:1]]),
    )
    summary, output = prepared(tmp_path, doubled, val_fraction=0.25, test_fraction=0.25)
    assert dropped(summary) == {"the same box on the same picture again": 1}
    names = [
        {Path(path).name for path in read_manifest(output / f"{side}_teacher.npy").image_paths}
        for side in ("train", "val", "test")
    ]
    assert not names[0] & names[1]
    assert not names[0] & names[2]
    assert not names[1] & names[2]


def frames_after(tmp_path: Path, manifest: Manifest) -> dict[str, list[list[float]]]:
    """Names of the photographs that a detector learns from -> their boxes."""
    _, output = prepared(tmp_path, manifest, val_fraction=0, test_fraction=0)
    frames = read_manifest(output / "train_frames.npy")
    found = {Path(path).name: [] for path in frames.empty_images}
    for path, box in zip(frames.image_paths, frames.boxes_xyxy.tolist(), strict=True):
        found.setdefault(Path(path).name, []).append(box)
    return found


def test_a_photograph_that_shows_a_dropped_ear_spoils_its_copies(tmp_path: Path) -> None:
    first, copy, other = (str(tmp_path / name) for name in ("first.png", "copy.png", "other.png"))
    photograph(Path(first), 0)
    Path(copy).write_bytes(Path(first).read_bytes())
    photograph(Path(other), 1)
    near, far, dot = [10, 10, 40, 60], [55, 15, 90, 70], [2, 2, 5, 5]
    rows = [(first, near), (first, dot), (copy, far), (other, near)]
    manifest = Manifest(np.array([path for path, _ in rows]), np.array([box for _, box in rows], np.float32))
    assert frames_after(tmp_path, manifest) == {"other.png": [near]}
    as_empty = replace(manifest.select([1, 3]), empty_images=np.array([copy]))
    assert frames_after(tmp_path, as_empty) == {"other.png": [near]}


def test_what_a_reader_dropped_spoils_its_photograph_too(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 6)
    crowd = str(manifest.image_paths[2])
    facts = check_images(manifest.image_paths.tolist(), 0)
    part = Part("", manifest, whole_frames=True, spoilt_images=frozenset([crowd]))
    checked = check_parts([part], facts, Drops(), Drops())
    assert checked[0].spoilt_images == {crowd}
    assert kept_from_detector(checked, facts).examples.popitem()[1] == [crowd]
    outputs = write_sides({"train": checked}, tmp_path / "out")
    assert (outputs["train_teacher.npy"]["ears"], outputs["train_frames.npy"]["ears"]) == (6, 4)


def test_a_copy_that_lacks_an_ear_of_another_is_not_for_the_detector(tmp_path: Path) -> None:
    first, copy, third = (str(tmp_path / name) for name in ("first.png", "copy.png", "third.png"))
    photograph(Path(first), 0)
    for path in (copy, third):
        Path(path).write_bytes(Path(first).read_bytes())
    near, nearly, far = [10, 10, 40, 60], [13, 12, 43, 63], [55, 15, 90, 70]
    rows = [(first, near), (first, far), (copy, nearly), (copy, far), (third, near)]
    manifest = Manifest(np.array([path for path, _ in rows]), np.array([box for _, box in rows], np.float32))
    # the copy's ear `far` is the first's once more and goes; what is left of the copy lacks it
    assert frames_after(tmp_path, manifest) == {"first.png": [near, far]}


def test_persons_stay_together(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 40)
    persons = np.array([f"person {row // 8}" for row in range(40)])
    _, output = prepared(tmp_path, replace(manifest, sources=persons), val_fraction=0.2, test_fraction=0.2)
    sides = [read_manifest(output / f"{side}_teacher.npy").sources for side in ("train", "val", "test")]
    assert [len(set(sources)) for sources in sides] == [3, 1, 1]
    assert len({person for sources in sides for person in sources.tolist()}) == 5


def test_a_pattern_finds_the_person_in_the_path(tmp_path: Path) -> None:
    for person in range(6):
        for shot in range(3):
            photograph(tmp_path / "crops" / f"s{person}_{shot}.png", 10 * person + shot, 40, 50)
    config = configured(
        Config,
        input=(tmp_path / "crops",),
        output_dir=tmp_path / "out",
        source_pattern=r"(s\d+)_",
        val_fraction=0.2,
        test_fraction=0.2,
        num_workers=0,
    )
    output = main(config)
    sides = {side: read_manifest(output / f"{side}_teacher.npy") for side in ("train", "val", "test")}
    assert [len(ears) for ears in sides.values()] == [12, 3, 3]
    assert set(sides["val"].sources) & set(sides["train"].sources) == set()
    assert not (output / "train_frames.npy").exists()  # crops are no frames
    with pytest.raises(UserError, match="not a regular expression"):
        source_of_path("a", "(")


def test_given_validation_stays_and_is_taken_out_of_training(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 20)
    train = write_manifest(tmp_path / "a.npy", manifest)
    val = write_manifest(tmp_path / "b.npy", manifest.select([0, 5, 6]))
    output = main(
        configured(
            Config,
            input=(train,),
            val_input=(val,),
            output_dir=tmp_path / "out",
            test_fraction=0,
            num_workers=0,
        )
    )
    assert len(read_manifest(output / "val_teacher.npy")) == 3
    assert len(read_manifest(output / "train_teacher.npy")) == 20 - 6
    assert not (output / "test_teacher.npy").exists()
    summary = json.loads((output / "prepare.json").read_text())
    assert dropped(summary) == {"its photograph or source is also in --val-input or --test-input": 6}


def test_images_without_ears_are_kept_unless_a_copy_shows_one(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, 20)
    walls = [photograph(tmp_path / "walls" / f"{number}.png", 100 + number) for number in range(10)]
    copy = tmp_path / "walls" / "ear.png"
    copy.write_bytes(Path(manifest.image_paths[0]).read_bytes())
    listed = np.array([*walls, str(copy), str(tmp_path / "gone.png"), walls[0]])
    summary, output = prepared(tmp_path, replace(manifest, empty_images=listed), test_fraction=0)
    assert dropped(summary)["image listed as without ears, but there are boxes on it"] == 1
    kept = [read_manifest(output / f"{side}_frames.npy").empty_images.tolist() for side in ("train", "val")]
    assert sorted(kept[0] + kept[1]) == sorted(walls)
    assert len(read_manifest(output / "train_teacher.npy").empty_images) == 0


def test_an_earlier_run_leaves_nothing_behind(tmp_path: Path) -> None:
    prepared(tmp_path, manifest_of(tmp_path, landmarks=True))
    assert (tmp_path / "out" / "test_labelled.npy").exists()
    prepared(tmp_path, manifest_of(tmp_path), test_fraction=0)
    left = sorted(path.name for path in (tmp_path / "out").glob("*.npy"))
    assert left == ["train_frames.npy", "train_teacher.npy", "val_frames.npy", "val_teacher.npy"]


def test_ibug_points_are_taken_by_their_indices(tmp_path: Path) -> None:
    photograph(tmp_path / "ears" / "e.png", 0)
    points = np.column_stack([np.arange(55), np.arange(55)]) + 10
    lines = "\n".join(f"{x + 1} {y + 1}" for x, y in points)
    (tmp_path / "ears" / "e.pts").write_text(f"version: 1\nn_points: 55\n{{\n{lines}\n}}\n")
    config = configured(
        Config,
        input=(tmp_path / "ears",),
        output_dir=tmp_path / "out",
        points="ibug55",
        val_fraction=0,
        test_fraction=0,
        num_workers=0,
    )
    read = read_manifest(main(config) / "train_labelled.npy")
    assert read.landmarks[0, :, 0].tolist() == [index + 10 for index in IBUG55]
    with pytest.raises(UserError, match=r"has 55 points an ear, expected 17.*--points ibug55"):
        main(replace(config, points="as-is"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": 1.0}, "--val-fraction 1.0: must be"),
        ({"val_fraction": 0.6, "test_fraction": 0.4}, "leave nothing to train on"),
        ({"margin": -0.1}, "margin=-0.1: a number from 0"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepared(tmp_path, manifest_of(tmp_path, 4, landmarks=True), **options)


def test_margin_and_points_stand_in_all_manifests(tmp_path: Path) -> None:
    scheme = tmp_path / "three.yaml"
    scheme.write_text("names: [a, b, c]\nflip: [1, 0, 2]\n")
    three = manifest_of(tmp_path, 8, landmarks=True)
    three = replace(three, landmarks=three.landmarks[:, :3], visibility=three.visibility[:, :3])
    with pytest.raises(UserError, match=r"has 3 points an ear, expected 17.*--scheme FILE"):
        prepared(tmp_path, three)
    _, folder = prepared(tmp_path, three, scheme=scheme, margin=0.25)
    written = [read_manifest(path) for path in folder.glob("*.npy")]
    assert {manifest.crops.margin for manifest in written} == {0.25}
    assert {manifest.crops.scheme.names for manifest in written} == {("a", "b", "c")}
    again = {"input": folder / "train_labelled.npy", "val_fraction": 0, "test_fraction": 0, "num_workers": 0}
    main(configured(Config, **again, output_dir=tmp_path / "again"))  # as the input says
    assert read_manifest(tmp_path / "again" / "train_labelled.npy").crops == written[0].crops
    seventeen = tmp_path / "seventeen.yaml"
    seventeen.write_text(json.dumps(load_scheme().to_plain()))
    with pytest.raises(UserError, match="has 3 points an ear, expected 17"):
        main(configured(Config, **again, output_dir=tmp_path / "other", scheme=seventeen))


def test_inputs_of_two_margins_are_not_mixed(tmp_path: Path) -> None:
    ears = manifest_of(tmp_path, 8)
    close = write_manifest(tmp_path / "close.npy", ears)
    wide = write_manifest(tmp_path / "wide.npy", replace(ears, crops=CropSettings(0.25)))
    given = {"input": close, "val_input": wide, "output_dir": tmp_path / "out", "num_workers": 0}
    with pytest.raises(UserError, match=r"close.npy is of crops with a margin of 0.1, .*wide.npy of 0.25"):
        main(configured(Config, **given))


def test_inputs_are_not_overwritten_and_must_exist(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "train_teacher.npy", manifest_of(tmp_path, 4))
    with pytest.raises(UserError, match="would be overwritten"):
        main(configured(Config, input=(path,), output_dir=tmp_path))
    with pytest.raises(UserError, match=r"nothing\.json: no such file"):
        main(configured(Config, input=(tmp_path / "nothing.json",), output_dir=tmp_path / "out"))


def test_too_few_photographs_to_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 separate photographs .* cannot be split"):
        prepared(tmp_path, manifest_of(tmp_path, 2))


def test_groups_are_transitive() -> None:
    items = [
        Item("a.jpg", "p1", "d1"),
        Item("b.jpg", "p2", "d2"),
        Item("c.jpg", "p1", "d2"),
        Item("d.jpg", "p3", "d3"),
        Item("a.jpg", "p4", "d1"),
    ]
    groups = grouped(items)
    assert groups[0] == groups[1] == groups[2] == groups[4] != groups[3]


def test_sides_hold_their_share_of_uneven_groups() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), rng.integers(1, 9, 200))
    for seed in range(5):
        sides = choose_sides(groups, [None] * len(groups), 0.15, 0.1, seed)
        assert abs((sides == "val").mean() - 0.15) < 0.02
        assert abs((sides == "test").mean() - 0.10) < 0.02
        assert all(len(set(sides[groups == group])) == 1 for group in range(200))
    giant = np.array([0] * 90 + list(range(1, 11)))
    sides = choose_sides(giant, [None] * 100, 0.1, 0, seed=0)
    assert (sides[:90] == "train").all()
    assert (sides == "val").sum() > 0
    few = choose_sides(np.array([0, 1, 2]), [None] * 3, 0.1, 0.1, seed=0)
    assert sorted(few) == ["test", "train", "val"]


def test_images_are_checked_alike_in_other_processes(tmp_path: Path) -> None:
    paths = [photograph(tmp_path / f"{number}.png", number, 20, 20) for number in range(40)]
    Path(paths[3]).write_bytes(b"no image")
    alone, together = check_images(paths, 0), check_images(paths, 2)
    assert alone == together
    assert "not an image" in alone[paths[3]].error
    assert alone[paths[0]][:2] == (20, 20)


def test_the_command_ends_with_where_the_result_lies(tmp_path: Path) -> None:
    source = write_manifest(tmp_path / "raw.npy", manifest_of(tmp_path, 40))
    command = [
        sys.executable,
        "-m",
        "data.prepare",
        "--input",
        str(source),
        "--output-dir",
        str(tmp_path / "out"),
    ]
    root = Path(__file__).resolve().parent.parent
    run = subprocess.run(
        [*command, "--num-workers", "0"], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == f"result: {tmp_path / 'out'}"
    wrong = subprocess.run(
        [*command, "--val-fracton", "0"], cwd=root, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "val-fraction" in wrong.stderr
