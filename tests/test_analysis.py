"""distill.study.analysis, tables and pictures on made-up cells."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from configs.errors import UserError
from distill.study.analysis import analyse
from distill.study.cells import Cells
from distill.study.pictures import curve_picture, landmarks_picture
from distill.study.recipe import Model, Study, Template
from distill.study.tables import study_page
from tests.fake_score import made_up_cell

ARM = Template("distill.train", {})


def made_up_study(budgets=(25, 100, 0), seeds=(0, 1, 2), gain=0.8) -> tuple[Study, Cells]:
    arms = {"twin": ARM, "both": ARM}
    model = Model(budgets, arms, (("both", "twin"),))
    study = Study(Path("s.yaml"), "made up", Path("run"), seeds, {}, {}, {"landmarker": model}, {})
    found = {
        ("landmarker", arm, budget, seed): made_up_cell(arm, budget or 400, seed, gain)
        for arm in arms
        for budget in budgets
        for seed in seeds
    }
    return study, Cells(found)


def pairs(study, cells, **options):
    return analyse(study, cells, draws=200, **options)["models"]["landmarker"]["pairs"]


def test_a_better_arm_beats_and_its_labels_are_worth_more():
    """Error .4 / sqrt(labels), times .8: the twin needs labels / .64."""
    found = pairs(*made_up_study())
    assert [pair["verdict"] for pair in found] == ["BEATS"] * 3
    assert [pair["labels"] for pair in found] == [25, 100, 400]
    assert found[0]["difference"] == pytest.approx(-20)
    assert found[0]["noise"] == pytest.approx(0, abs=1e-9)  # the same gain in every seed
    worth = [pair["label_efficiency"] for pair in found]
    assert [entry["labels"] for entry in worth] == pytest.approx([25 / 0.64, 100 / 0.64, 400])
    assert [entry["bound"] for entry in worth] == ["=", "=", ">="]
    assert worth[0]["times"] == pytest.approx(1 / 0.64)
    landmarks = found[0]["landmarks"]
    assert landmarks["difference"] == pytest.approx([-0.2 * 0.08 * 1.01] * 17)
    assert max(landmarks["high"]) < 0


def test_equal_arms_make_no_difference():
    found = pairs(*made_up_study(gain=1.0))
    assert [pair["verdict"] for pair in found] == ["NO DIFFERENCE"] * 3
    assert found[1]["label_efficiency"]["times"] == pytest.approx(1)


def test_noise_of_an_arm_is_the_spread_of_its_seeds():
    """Seeds scale the error by 1, 1.01 and 1.02."""
    arms = analyse(*made_up_study(), draws=50)["models"]["landmarker"]["arms"]
    entry = arms["twin"][1]
    assert entry["mean"] == pytest.approx(0.04 * 1.01)
    assert entry["noise"] == pytest.approx(0.04 * 0.01)
    assert entry["each_seed"] == pytest.approx([0.04, 0.0404, 0.0408])
    assert entry["tightness_worst_ratio"] == pytest.approx(1.05)


def test_an_incomplete_study_compares_the_seeds_that_both_arms_have():
    study, cells = made_up_study()
    for key in [("landmarker", "both", 25, 0), ("landmarker", "twin", 100, 2), ("landmarker", "both", 0, 0)]:
        del cells.found[key]
    del cells.found["landmarker", "both", 0, 1], cells.found["landmarker", "both", 0, 2]
    found = pairs(study, cells)
    assert [(pair["budget"], pair["seeds"]) for pair in found] == [("25", [1, 2]), ("100", [0, 1])]
    assert found[0]["label_efficiency"]["labels"] == pytest.approx(25 / 0.64**1, rel=0.5)
    one_seed = Cells({key: cell for key, cell in cells.found.items() if key[3] == 1})
    (pair, _) = pairs(study, one_seed)
    assert pair["noise"] is None
    assert "BEATS*" in study_page(analyse(study, one_seed, draws=50))


def test_settings_in_which_arms_differ():
    study, cells = made_up_study(seeds=(0,))
    for (_, arm, _, _), cell in cells.found.items():
        weight = {"twin": 0.0, "both": 1.0}[arm]
        cell["settings"] = {"map_weight": weight, "steps": 600, "maps": f"{arm}/maps", "labels": weight}
    settings = analyse(study, cells, draws=50)["models"]["landmarker"]["settings"]
    assert settings == {"twin": {"map_weight": 0.0}, "both": {"map_weight": 1.0}}


def test_other_test_images_are_refused():
    study, cells = made_up_study()
    cells.found["landmarker", "both", 25, 0]["per_image"]["paths"] = ["other.png"] * 6
    with pytest.raises(UserError, match="scored on different test sets"):
        analyse(study, cells, draws=50)


def test_a_detector_is_compared_in_points():
    """One image, one ear, one box: an AP of 1 where it is found at all ten thresholds, .5 at five of them."""
    model = Model((25, 0), {"twin": ARM, "maps": ARM}, (("maps", "twin"),))
    study = Study(Path("s.yaml"), "made up", Path("run"), (0,), {}, {}, {"detector": model}, {})
    found = {}
    for arm, bits, ap in (("twin", 0b11111, 0.5), ("maps", 0b1111111111, 1.0)):
        for budget in (25, 0):
            cell = made_up_cell(arm, budget, 0) | {
                "headline": {"ap": ap, "ap50": 1.0},
                "per_image": {"paths": ["a"], "ears": [1], "scores": [[0.9]], "matched": [[bits]]},
                "tightness": None,
                "training": {"labels": 27, "empty_frames": 2},
            }
            found["detector", arm, budget, 0] = cell
    report = analyse(study, Cells(found), draws=20)["models"]["detector"]
    pair = report["pairs"][0]
    assert pair["difference"] == pytest.approx(50)
    assert pair["interval"] == pytest.approx([50, 50])
    assert pair["verdict"] == "BEATS"
    assert pair["labels"] == 25  # frames with ears
    assert "landmarks" not in report


def test_the_page_and_the_pictures(tmp_path):
    study, cells = made_up_study()
    cells.missing["landmarker.both.50.0"] = "never ran"
    content = analyse(study, cells, draws=100)
    page = study_page(content)
    for part in (
        "18 of 19 cells are there",
        "BEATS",
        "-20.0",
        "39, 1.56 x",
        "1.050",
        "- landmarker.both, never ran: 50.0",
    ):
        assert part in page
    model = content["models"]["landmarker"]
    model["pairs"][0]["landmarks"]["difference"][4] = 0.05  # hurts at one point
    for path in (
        curve_picture("landmarker", model, tmp_path / "curve.png"),
        landmarks_picture(model, tmp_path / "landmarks.png"),
    ):
        picture = cv2.imread(str(path))
        assert picture.shape[1] > 700
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
