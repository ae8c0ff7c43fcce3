"""The report: one file that needs nothing else, true figures, and word of what is missing."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from configs.build import build
from configs.errors import UserError
from configs.recipe import recipe_from
from data.landmarks import load_scheme
from data.metrics import nme
from distill.report.__main__ import Config, main
from distill.report.boxes import frame_faults
from distill.report.charts import PAINTS, Line, line_chart, share_chart
from distill.report.ear_figure import ASPECT, EAR_HEIGHT, ear_figure, example_shape
from distill.report.figures import figures, merged
from distill.report.inputs import COMMANDS, Inputs
from distill.report.photos import embed
from distill.report.points import TITLES, mean_shape_errors, paired_rows
from distill.report.tables import Measure, measure_cell, measures_table
from distill.report.training import curves
from tests.made_up_run import EARS, MEAN_ERRORS, make_run

VOID = {"meta", "link", "img", "br", "path", "circle", "rect", "use"}


class Page(HTMLParser):
    """Tags with their attributes, and the text; complains where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run with every stage, and its report."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "made_up")
    main(Config(run=folder))
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return Page((run / "report" / "index.html").read_text())


def test_the_page_needs_nothing_else(run: Path, page: Page) -> None:
    assert not page.all("script")
    assert not page.all("iframe")
    addresses = [value for _, attributes in page.tags for name, value in attributes.items()
                 if name in ("src", "href", "srcset", "xlink:href", "action")]  # fmt: skip
    assert len(addresses) > 30
    assert [address for address in addresses if not address.startswith(("data:", "#"))] == []
    style = re.search(r"<style>(.*?)</style>", (run / "report" / "index.html").read_text(), re.S)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert (run / "report" / "index.html").stat().st_size < 6e6


def test_names_are_unique_and_links_lead_somewhere(page: Page) -> None:
    identities = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [name for name, count in identities.items() if count > 1] == []
    targets = [
        attributes[name]
        for _, attributes in page.tags
        for name in ("href", "xlink:href")
        if name in attributes
    ]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(identities)
    clips = [attributes["clip-path"] for _, attributes in page.tags if "clip-path" in attributes]
    assert {clip[5:-1] for clip in clips} <= set(identities)


def test_a_whole_run_has_every_section(page: Page) -> None:
    assert "Nothing to show yet" not in page.text
    assert len(page.all("svg")) >= 15
    # ears: 6 best, 6 typical, 12 worst; frames: 6 and 6; 4 eigenears; grid, frames, 3 of the teacher's
    assert len(page.all("img")) >= 24 + 12 + 4 + 4
    assert all(image["alt"] for image in page.all("img"))


def test_what_the_recipe_says_is_shown_as_text(page: Page) -> None:
    assert "note: <b>teacher</b> & more" in page.text
    assert "torch" in page.text
    assert "0123456789abcdef" in page.text
    assert "name: made_up" in page.text


def test_metrics_json_has_the_figures(run: Path) -> None:
    found = json.loads((run / "metrics.json").read_text())
    assert found["teacher"]["psnr"] == 22.54321
    assert found["teacher"]["psnr_interval"] == [22.1, 22.9]
    assert found["teacher"]["measured_on"] == "test"
    for model, error in MEAN_ERRORS.items():
        assert found[model]["nme"] == pytest.approx(error, rel=1e-5)
        low, high = found[model]["nme_interval"]
        assert low < error < high
    assert (found["detector"]["ap50"], found["detector"]["onnx_mb"], found["detector"]["ms_1_thread"]) == (
        0.95,
        1.25,
        4.5,
    )
    assert (found["landmarker"]["onnx_mb"], found["landmarker"]["ms_1_thread"]) == (0.75, 1.5)


def test_without_evaluation_the_figures_are_of_the_validation_set(run: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    found = figures(Inputs(run, {"evaluate": nothing, "teacher_eval": nothing, "export": nothing}))
    assert found["teacher"] == {"psnr": 22.0, "ssim": 0.6, "measured_on": "validation"}
    assert found["ear_detector"] == {"nme": 0.041, "measured_on": "validation"}
    assert found["detector"] == {"ap50": 0.94, "measured_on": "validation"}


def test_figures_are_merged_into_what_is_there(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"study": 7, "teacher": {"psnr": 1.0, "seen": 3}}))
    main(Config(run=run, output_dir=tmp_path / "report", metrics_json=path))
    found = json.loads(path.read_text())
    assert (found["study"], found["teacher"]["seen"], found["teacher"]["psnr"]) == (7, 3, 22.54321)
    assert merged({"a": {"b": 1}}, {"a": 2}) == {"a": 2}
    path.write_text("[1]")
    with pytest.raises(UserError, match="expected an object"):
        main(Config(run=run, output_dir=tmp_path / "report", metrics_json=path))


def test_an_empty_run_says_which_stages_make_it(tmp_path: Path) -> None:
    page = Page(main(Config(run=tmp_path)).read_text())
    assert json.loads((tmp_path / "metrics.json").read_text()) == {}
    for stage, command in COMMANDS.items():
        assert re.search(rf"The stage {stage} makes it\s+\(python -m {re.escape(command)}\)", page.text), (
            stage
        )


def test_a_missing_run_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run folder"):
        main(Config(run=tmp_path / "nowhere"))


def test_damaged_inputs_cost_only_their_section(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = make_run(tmp_path)
    damaged = ["teacher/metrics.csv", "evaluate/per_image.npz", "export/export.json", "eigenears/pc_1.png",
               "data/grid.png", "data/test_frames.npy", "landmarker/run.yaml"]  # fmt: skip
    for name in damaged:
        content = (run / name).read_bytes()
        (run / name).write_bytes(b"{[" + content[5 : len(content) // 2] + b"\nno,number")
    page = Page(main(Config(run=run)).read_text())
    said = capsys.readouterr().out
    for name in damaged:
        assert re.search(rf"warning: left out of the report: \S*{name} cannot be read", said), name
    assert "Student, distilled" in page.text  # the table comes from metrics.json
    assert "component 2, 20.0% of the variance" in page.text


def test_the_reports_options_make_its_dependencies() -> None:
    options = {"run": "${run}", "metrics_json": "${run}/metrics.json"} | {
        stage: f"${{{stage}}}" for stage in COMMANDS
    }
    stages = {stage: {"command": "data.render"} for stage in COMMANDS}
    stages["report"] = {"command": "distill.report", "options": options}
    recipe = recipe_from({"run_dir": "runs/demo", "stages": stages}, Path("demo.yaml"))
    assert set(recipe.stage("report").needs) == set(COMMANDS)
    config = build(Config, recipe.resolved_options("report", {"output_dir"}), "demo.yaml")
    assert config.evaluate == Path("runs/demo/evaluate")
    assert config.output_dir == Path("runs/demo/report")


def test_circles_on_the_ear_are_to_scale() -> None:
    scheme = load_scheme()
    errors = np.linspace(0.01, 0.05, 17)
    errors[3] = np.nan
    figure = ElementTree.fromstring(ear_figure(errors, scheme, scheme.mean_shape_unit, "student", "an ear"))
    circles = [element for element in figure.iter() if element.get("class") == "error"]
    radii = [float(circle.get("r")) for circle in circles]
    extent = np.ptp(scheme.mean_shape_unit, axis=0) * (ASPECT * EAR_HEIGHT, EAR_HEIGHT)
    np.testing.assert_allclose(radii, np.delete(errors, 3) * np.hypot(*extent), atol=0.006)
    top, bottom = (
        float(circles[index].get("cy")) for index in (1, 5)
    )  # landmarks 1 and 6, superaurale, subaurale
    assert bottom - top == pytest.approx(0.95 * EAR_HEIGHT, abs=0.1)
    titles = [element.text for element in figure.iter() if element.tag.endswith("title")]
    assert titles[3] == "3 postaurale: not annotated"
    assert titles[0] == "0 otobasion superius: 0.0100"


def test_an_ear_is_drawn_for_any_scheme() -> None:
    points = np.array([[[10.0, 20], [30, 20], [np.nan, np.nan]], [[0, 0], [40, 10], [20, 100]]])
    visibility = np.array([[2, 2, 0], [2, 2, 1]])
    np.testing.assert_allclose(example_shape(points, visibility), [[0, 0], [1, 0.1], [0.5, 1]])


def test_the_mean_shape_has_no_error_on_itself_either_way_round() -> None:
    scheme = load_scheme()
    box = np.array([[10.0, 20, 71, 120], [10, 20, 71, 120]], dtype=np.float32)
    shape = scheme.mean_shape_unit
    mirrored = np.stack([1 - shape[:, 0], shape[:, 1]], axis=1)  # no index changes place
    truth = np.stack([shape, mirrored]) * (61, 100) + (
        9.5,
        19.5,
    )  # points have their pixel centres at integers
    visibility = np.full((2, 17), 2)
    np.testing.assert_allclose(mean_shape_errors(box, truth, visibility, scheme), 0, atol=1e-6)
    moved = truth + (0.0, 5.0)
    np.testing.assert_allclose(
        mean_shape_errors(box, moved, visibility, scheme), nme(truth, moved, visibility), rtol=1e-4
    )


def test_paired_differences_judge_only_what_the_ears_can_show() -> None:
    rng = np.random.default_rng(0)
    errors = rng.uniform(0.02, 0.06, EARS)
    arrays = {
        "crops_landmarker_nme": errors,
        "crops_landmarker_twin_nme": errors + 0.01 + rng.normal(0, 0.001, EARS),
        "crops_ear_detector_nme": np.where(
            np.arange(EARS) == 0, np.inf, errors + rng.permutation([-0.01, 0.01] * 20)
        ),
    }
    better, alike = paired_rows(arrays, list(MEAN_ERRORS))
    assert better.label == f"{TITLES['landmarker']} minus {TITLES['landmarker_twin']}"
    assert better.cells[0].text.startswith("-0.0")
    assert [row.cells[1].text for row in (better, alike)] == [
        "better",
        "no difference that these ears can show",
    ]
    same = dict.fromkeys(arrays, errors)
    assert paired_rows(same, list(MEAN_ERRORS))[0].cells[0].text == "+0.0000"


def test_faults_of_a_frame_by_hand() -> None:
    truth = np.array([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    found = np.array([[0.0, 0, 10, 8], [20, 20, 30, 30]])
    assert frame_faults(found, truth) == (1, 1, pytest.approx(0.8))
    assert frame_faults(np.empty((0, 4)), np.empty((0, 4))) == (0, 0, pytest.approx(np.nan, nan_ok=True))


def test_charts_take_their_colours_from_the_page() -> None:
    x = np.arange(20.0)
    lines = [Line("one", x, np.exp(-x)), Line("two", x, np.where(x > 3, np.nan, x + 1), "twin", dashed=True)]
    charts = [
        line_chart("first", lines, "epoch", "loss", log=True),
        share_chart("second", np.array([0.3, 0.1]), "component", "%"),
    ]
    for chart in charts:
        ElementTree.fromstring(chart)
        assert not re.search(r"#[0-9a-f]{6}", chart)
        assert "<style" not in chart
        assert "font-family" not in chart
    used = {paint for paint in PAINTS if f"var(--{paint})" in charts[0]}
    assert {"ink", "soft", "rule", "student", "twin"} <= used
    assert charts[0] == line_chart("first", lines, "epoch", "loss", log=True)  # the same every time


def test_terms_that_were_off_have_no_chart(run: Path) -> None:
    found = curves(Inputs(run, {}), ["teacher"])
    assert [chart.title for chart in found["held_out"]] == [
        "Reconstruction, held-out ears",
        "Structure, held-out ears",
    ]
    assert [chart.title for chart in found["terms"]] == ["Total training loss", "Mean absolute error"]


def test_a_single_epoch_is_a_table(run: Path, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,val/psnr\n0,150,0.25,22.5\n")
    found = curves(Inputs(run, {"teacher": tmp_path}), ["teacher"])
    assert (found["held_out"], found["terms"]) == ([], [])
    assert [(row.label, row.cells[0].text) for row in found["rows"]] == [
        ("Reconstruction, held-out ears", "22.5000"),
        ("Total training loss", "0.2500"),
    ]


def test_tables_show_intervals_and_leave_out_what_nobody_measured() -> None:
    reports = [
        {"hidden": {"nme": 0.05, "nme_interval": [0.04, 0.06]}, "pck_0.05": 0.9, "ap": None},
        {"hidden": {"nme": None}},
    ]
    measures = [
        Measure("hidden.nme", "hidden", "{:.3f}"),
        Measure("ap", "AP"),
        Measure("pck_0.05", "PCK", "{:.1f}"),
    ]
    rows = measures_table(reports, measures)
    assert [row.label for row in rows] == ["hidden", "PCK"]
    assert (rows[0].cells[0].text, rows[0].cells[0].small, rows[0].cells[1].text) == (
        "0.050",
        "0.040 to 0.060",
        "–",
    )
    assert measure_cell(reports[0], measures[2]).text == "0.9"


def test_photographs_survive_their_way_into_the_page() -> None:
    rgb = np.zeros((60, 100, 3), np.uint8)
    rgb[:, 50:] = (200, 40, 90)
    photo = embed(rgb, 50, quality=95)
    assert (photo.width, photo.height) == (50, 30)
    packed = base64.b64decode(photo.uri.removeprefix("data:image/jpeg;base64,"))
    back = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert back.shape == (30, 50, 3)
    np.testing.assert_allclose(back[15, 40], (200, 40, 90), atol=6)
