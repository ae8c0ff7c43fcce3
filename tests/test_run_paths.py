"""What recipes, links and files of a run cannot do: lead a command out of its folders, or script a page."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import UserError
from configs.files import full_disk_is_a_user_error, write_atomic, write_json, writing_below
from configs.recipe import recipe_from
from data.formats import read_annotations
from data.formats.options import ReadOptions
from data.formats.yolo_sets.layout import read_layout
from data.landmarks import load_scheme
from distill.report.ear_figure import ear_figure
from distill.report.inputs import Inputs
from distill.report.training import curves
from distill.study.recipe import study_from
from tests.fake_pipeline import RUN, recipe, run, runs
from tests.test_study_recipe import changed

SCRIPT = "\"'><script>alert(1)</script>"


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file that nothing may touch."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "kept.txt").write_text("as it was")
    return folder


@pytest.mark.parametrize("name", ["../../home", "/tmp/x", "..", ".work", "a/b", "a\\b"])
def test_a_name_is_no_path(name: str) -> None:
    content = {"name": name, "stages": {"a": {"command": "data.render"}}}
    with pytest.raises(UserError, match=r"r\.yaml: name = .* is no name of a folder.*--run-dir"):
        recipe_from(content, Path("r.yaml"))
    with pytest.raises(UserError, match="is no name of a folder"):
        study_from(changed(name=name), Path("study.yaml"))
    assert recipe_from({**content, "name": "a (2)"}, Path("r.yaml")).run_dir == Path("runs/a (2)")


def test_nothing_is_written_through_a_link_in_an_output_folder(tmp_path: Path, outside: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "pictures").symlink_to(outside)
    (out / "metrics.json").symlink_to(outside / "kept.txt")
    with writing_below(out):
        write_json(out / "metrics.json", {"nme": 1})
        for path in (out / "pictures/new.txt", out / "pictures/deeper/new.txt"):
            with pytest.raises(UserError, match="pictures: is a link to .* nothing is written through links"):
                write_atomic(path, lambda temporary: temporary.write_text("through"))
        with (
            pytest.raises(UserError, match="is a link to"),
            full_disk_is_a_user_error(out / "pictures" / "video.mp4"),
        ):
            (out / "pictures" / "video.mp4").write_text("through")
    assert not (out / "metrics.json").is_symlink()
    assert [path.read_text() for path in outside.iterdir()] == ["as it was"]


def test_an_output_folder_that_is_a_link_itself(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "big_disk").symlink_to(outside)
    with writing_below(tmp_path / "big_disk"):
        write_json(tmp_path / "big_disk" / "a" / "m.json", {})
    assert (outside / "a" / "m.json").exists()


@pytest.mark.parametrize("link", [".work", "logs"])
def test_a_run_folder_with_a_link_in_it(recipe: Path, outside: Path, link: str) -> None:
    RUN.mkdir()
    (RUN / link).symlink_to(outside)
    with pytest.raises(UserError, match=f"{link}: is a link to"):
        run(recipe)
    assert [path.name for path in outside.iterdir()] == ["kept.txt"]


def test_links_in_the_place_of_a_stages_work_and_log(recipe: Path, outside: Path) -> None:
    (RUN / ".work").mkdir(parents=True)
    (RUN / "logs").mkdir()
    (RUN / ".work/data").symlink_to(outside)
    (RUN / ".work/data.old").symlink_to(outside)
    (RUN / "logs/data.log").symlink_to(outside / "kept.txt")
    run(recipe, until="data")
    assert set(runs()) == {"data"}
    assert not (RUN / "data").is_symlink()
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"kept.txt": "as it was"}


def yolo_set(folder: Path) -> Path:
    """set/data.yaml beside images/ and labels/, and photographs in another folder."""
    for place in ("all/set", "all/images", "all/set/train/images", "elsewhere"):
        (folder / place).mkdir(parents=True)
    for place in ("all/images", "all/set/train/images", "elsewhere"):
        Image.new("RGB", (64, 64)).save(folder / place / "a.png")
    (folder / "elsewhere" / "list.txt").write_text("a.png\n")
    (folder / "all" / "set" / "list.txt").write_text(f"{folder / 'elsewhere' / 'a.png'}\n")
    return folder / "all" / "set" / "data.yaml"


@pytest.mark.parametrize(
    ("train", "image"),
    [
        ("../images", "all/images/a.png"),  # beside its folder
        ("../train/images", "all/set/train/images/a.png"),  # as exports write it that lie one folder higher
        ("train/images", "all/set/train/images/a.png"),
        ("{folder}/all/images", "all/images/a.png"),
    ],
)
def test_a_data_yaml_names_what_lies_beside_it(tmp_path: Path, train: str, image: str) -> None:
    file = yolo_set(tmp_path)
    file.write_text(f"train: {train.format(folder=tmp_path)}\nnames: [ear]\n")
    assert [path.resolve() for path in read_layout(file).images] == [tmp_path / image]


@pytest.mark.parametrize(
    "text",
    [
        "train: ../../elsewhere",
        "train: {folder}/elsewhere",
        "train: [train/images, ../../elsewhere]",
        "path: {folder}/elsewhere\ntrain: .",
        "train: ../../elsewhere/list.txt",
        "train: list.txt",  # which names a picture that lies elsewhere
    ],
)
def test_a_data_yaml_does_not_lead_out_of_its_data_set(tmp_path: Path, text: str) -> None:
    file = yolo_set(tmp_path)
    file.write_text(text.format(folder=tmp_path) + "\nnames: [ear]\n")
    with pytest.raises(UserError, match=r"leads to .*elsewhere.* outside of .*all; .*--image-root FOLDER"):
        read_layout(file)
    found = read_layout(file, image_root=tmp_path / "elsewhere").images
    assert tmp_path / "elsewhere" / "a.png" in [path.resolve() for path in found]
    manifest = read_annotations(file, options=ReadOptions(image_root=tmp_path / "elsewhere"))
    assert len(manifest.empty_images) == len(found)


def test_a_column_of_metrics_is_no_markup(tmp_path: Path) -> None:
    with (tmp_path / "metrics.csv").open("w", newline="") as file:
        columns = ["epoch", "train/loss", f"train/{SCRIPT}", "train/\\1 $x$ &amp;"]
        csv.writer(file).writerows([columns, [0, 1, 2, 3], [1, 2, 3, 4]])
    shown = curves(Inputs(tmp_path, {"teacher": tmp_path}), ["teacher"])["terms"]
    assert [chart.title for chart in shown[1:]] == [SCRIPT, "\\1 $x$ &amp;"]  # the template escapes it
    identities = [chart.svg.split('id="')[1].split('"')[0] for chart in shown]
    assert len(set(identities)) == 3
    assert not any("script" in chart.svg or "$x$" in chart.svg for chart in shown)


def test_a_name_of_a_point_is_no_markup() -> None:
    scheme = load_scheme()
    scheme = replace(scheme, names=(SCRIPT, *scheme.names[1:]))
    svg = ear_figure(np.full(17, 0.1), scheme, scheme.mean_shape_unit, "student", SCRIPT)
    assert svg.count("&lt;script&gt;") == 2
    assert "<script" not in svg
