"""distill.study.recipe and expand: from a study to exactly the stages it needs; faults named."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import UserError
from distill.study.expand import choose_cells, expand
from distill.study.recipe import load_study, study_from
from tests.fake_study import content

PATH = Path("study.yaml")


def changed(**changes):
    """The study with other values at dotted places, such as models__landmarker__budgets."""
    plain = content()
    for place, value in changes.items():
        *parents, last = place.split("__")
        inner = plain
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    return plain


def test_the_stages_of_a_small_study_in_order():
    recipe, cells = expand(study_from(content(), PATH))
    of_one_seed = [
        "ear_detector_vae_5", "ear_detector_vae_5_score", "landmarker_twin_5", "landmarker_twin_5_score",
        "maps_5", "landmarker_both_5", "landmarker_both_5_score",
        "landmarker_twin_all", "landmarker_twin_all_score",
        "ear_detector_vae_all",  # maps of all labels need it, though it is no cell at that budget
        "maps_all", "landmarker_both_all", "landmarker_both_all_score",
    ]  # fmt: skip

    def named(name: str, seed: int) -> str:
        stage, score, _ = name.partition("_score")
        return f"{stage}_seed{seed}{score}"

    expected = ["data", *(named(name, seed) for seed in (0, 1) for name in of_one_seed)]
    order = list(recipe.stages)
    assert sorted(order) == sorted(expected)
    assert order[0] == "data"
    assert all("seed0" in name for name in order[1:14])  # the whole of seed 0 first
    for name, stage in recipe.stages.items():
        assert all(order.index(need) < order.index(name) for need in stage.needs)
    assert [cell.name for cell in cells[:5]] == [
        "ear_detector.vae.5.0", "landmarker.twin.5.0", "landmarker.both.5.0", "landmarker.twin.all.0",
        "landmarker.both.all.0",
    ]  # fmt: skip
    assert recipe.run_dir == Path("run/stages")


def test_what_a_cell_is_given():
    stages = expand(study_from(content(), PATH))[0].stages
    both = stages["landmarker_both_5_seed1"]
    assert both.options == {
        "inputs": ["${data}/out.txt"],
        "steps": 2,
        "weights": "${maps_5_seed1}/out.txt",
        "labels": 5,
        "seed": 1,
    }
    assert stages["maps_5_seed1"].needs == ("ear_detector_vae_5_seed1", "landmarker_twin_5_seed1")
    assert stages["landmarker_twin_all_seed0"].options["labels"] == 0  # all
    assert "labels" not in stages["data"].options
    score = stages["landmarker_both_5_seed1_score"]
    assert score.command == "distill.study.score"
    trained = "${landmarker_both_5_seed1}"
    assert score.options == {"model": "landmarker", "trained": trained, "test_npy": "${data}/out.txt"}


def test_what_nobody_needs_is_left_out():
    assert "unused" not in expand(study_from(content(), PATH))[0].stages
    plain = content()
    del plain["models"]["landmarker"]["arms"]["both"]["options"]["weights"]
    stages = expand(study_from(plain, PATH))[0].stages
    assert not [name for name in stages if name.startswith("maps") or name == "ear_detector_vae_all_seed0"]


def test_chosen_cells():
    study = study_from(content(), PATH)
    _, cells = expand(study)
    assert len(choose_cells(study, cells)) == len(cells) == 10
    chosen = choose_cells(study, cells, ["landmarker"], ["twin"], ["all"], [1])
    assert [cell.name for cell in chosen] == ["landmarker.twin.all.1"]
    for flags, complaint in [
        ({"models": ["landmarkr"]}, "--models: study.yaml has no 'landmarkr'. Did you mean 'landmarker'"),
        ({"arms": ["boht"]}, "--arms: .* Did you mean 'both'"),
        ({"budgets": ["6"]}, "--budgets: .* It has: 5, all"),
        ({"seeds": [7]}, "--seeds: study.yaml has no '7'"),
        ({"models": ["ear_detector"], "arms": ["twin"]}, "no cell is of all that"),
    ]:
        with pytest.raises(UserError, match=complaint):
            choose_cells(study, cells, **flags)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"sedes": [0]}, "unknown key 'sedes'. Did you mean 'seeds'"),
        ({"seeds": [0, 0]}, r"seeds = \[0, 0\] names one twice"),
        ({"seeds": []}, "seeds = .* is not a list such as"),
        ({"models": {}}, "no models. Name some of landmarker"),
        ({"models__landmrker": {}}, "unknown key 'landmrker'. Did you mean 'landmarker'"),
        ({"models__landmarker__budgets": [25, "al"]}, "'al' is neither .* Did you mean 'all'"),
        ({"models__landmarker__budgets": [25, 0]}, "budgets: 0 is not a whole number from 1 on"),
        ({"models__landmarker__budgets": [2.5]}, "budgets: 2.5 is not a whole number"),
        ({"models__landmarker__compare": [["boht", "twin"]]}, "no arm 'boht'. Did you mean 'both'"),
        ({"models__landmarker__compare": ["twin"]}, "'twin' is not a pair of arms"),
        ({"models__landmarker__arms__twin": {"command": "tests.fake_stagee"}}, "there is no command"),
        ({"models__landmarker__arms__twin": {"command": "data.render"}}, "no option 'labels', so it cannot"),
        ({"models__landmarker__arms__twin__options__seed": 1}, "seed is set by the study"),
        ({"prepared__maps__options__labels": 1}, "prepared.maps: labels is set by the study"),
        ({"prepared__maps__options__weights": "${landmarker.twn}/a"}, "Did you mean 'landmarker.twin'"),
        ({"shared__data__options__weights": "${maps}/a"}, r"shared.data: \$\{maps\} is nothing that it may"),
        ({"test": {}}, "test: ears_npy is missing; the ear_detector is tested on it"),
        ({"test": {"ears": "x"}}, "test: unknown key 'ears'. Did you mean 'ears_npy'"),
        ({"test": {"ears_npy": "${dta}/x"}}, "Did you mean 'data'"),
        ({"prepared__data": {"command": "tests.fake_stage"}}, "'data' stands under shared and under prep"),
        ({"shared__landmarker": {"command": "tests.fake_stage"}}, "may not be called 'landmarker'"),
    ],
)
def test_faults_are_named(changes, complaint):
    with pytest.raises(UserError, match=complaint):
        study_from(changed(**changes), PATH)


def test_a_circle_is_named():
    plain = changed(models__landmarker__arms__twin__options__weights="${maps}/out.txt")
    with pytest.raises(UserError, match=r"circle: landmarker\.twin -> maps -> landmarker\.twin"):
        expand(study_from(plain, PATH))


def test_two_stages_of_one_name(tmp_path):
    plain = changed(shared__maps_5_seed0={"command": "tests.fake_stage"})
    plain["prepared"]["maps"]["options"]["weights"] = "${maps_5_seed0}/out.txt"
    with pytest.raises(UserError, match="would both be the stage 'maps_5_seed0'; rename one"):
        expand(study_from(plain, PATH))


def test_a_missing_recipe():
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such recipe"):
        load_study("nowhere.yaml")
