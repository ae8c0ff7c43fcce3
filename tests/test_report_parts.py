"""What the report's page is made of: charts, the drawn ear, tables, photographs, judgements by hand."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from data.landmarks import load_scheme
from data.metrics import nme
from distill.report.boxes import frame_faults
from distill.report.charts import PAINTS, Line, line_chart, share_chart
from distill.report.ear_figure import ASPECT, EAR_HEIGHT, ear_figure, example_shape
from distill.report.inputs import Inputs
from distill.report.photos import embed
from distill.report.points import TITLES, mean_shape_errors, paired_rows
from distill.report.tables import Measure, measure_cell, measures_table
from distill.report.training import curves, earlier_curves
from tests.made_up_run import EARS, MEAN_ERRORS, STAGES


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run with the one stage that is looked at here."""
    folder = tmp_path_factory.mktemp("run")
    STAGES["teacher"](folder / "teacher")
    return folder


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


def test_the_training_a_teacher_started_from_is_shown_too(run: Path, tmp_path: Path) -> None:
    assert earlier_curves(Inputs(run, {})) is None
    start = tmp_path / "pretrained" / "ear_vae.ckpt"
    start.parent.mkdir()
    start.with_suffix(".csv").write_text("epoch,train/loss,val/psnr\n0,0.5,18\n1,0.25,20\n")
    (tmp_path / "run.yaml").write_text(f"config: {{init_checkpoint: {start}}}\n")
    found = earlier_curves(Inputs(run, {"teacher": tmp_path}))
    assert [chart.title for chart in found["held_out"]] == ["Reconstruction, held-out ears"]
    assert [chart.title for chart in found["terms"]] == ["Total training loss"]
    start.with_suffix(".csv").unlink()
    assert earlier_curves(Inputs(run, {"teacher": tmp_path})) is None


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
