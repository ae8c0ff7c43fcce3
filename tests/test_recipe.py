"""configs.recipe: stages, references and overrides; and every recipe of the project can be planned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from configs.build import build, field_types
from configs.command import parse_config
from configs.errors import UserError
from configs.flags import to_flags
from configs.recipe import Recipe, load_recipe, recipe_from, references, to_plain, with_overrides
from distill.pipeline.commands import command_module
from distill.pipeline.fingerprint import Fingerprints
from distill.pipeline.plan import plan_stages
from distill.study.expand import expand
from distill.study.recipe import load_study

PROJECT = Path(__file__).resolve().parent.parent
RECIPES = sorted((PROJECT / "configs").rglob("*.yaml"))

TEXT = """
name: tiny
run_dir: runs/tiny
seed: 5
stages:
  report: {command: tests.fake_stage, options: {inputs: ["${teacher}/out.txt", "${run}/x"]}, needs: [data]}
  data: {command: tests.fake_stage, options: {word: hello}}
  teacher:
    command: tests.fake_stage
    options: {inputs: ["${data}/out.txt"], num-workers: 1, seed: 9}
"""


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TEXT)
    return path


def test_stages_come_after_what_they_need(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    assert list(recipe.stages) == ["data", "teacher", "report"]
    assert recipe.stages["data"].needs == ()
    assert recipe.stages["teacher"].needs == ("data",)
    assert recipe.stages["report"].needs == ("teacher", "data")  # ${run} makes none
    assert (recipe.name, recipe.run_dir, recipe.seed) == ("tiny", Path("runs/tiny"), 5)


def test_options_are_resolved_and_the_seed_reaches_who_takes_one(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    fields = {"seed": int, "output_dir": Path}
    assert recipe.resolved_options("report", fields) == {
        "inputs": ["runs/tiny/teacher/out.txt", "runs/tiny/x"],
        "seed": 5,
        "output_dir": "runs/tiny/report",
    }
    assert recipe.resolved_options("teacher", fields)["seed"] == 9
    assert "seed" not in recipe.resolved_options("report", {})
    assert recipe.resolved_options("teacher", {})["num_workers"] == 1


def test_name_and_folder_have_defaults(tmp_path: Path) -> None:
    recipe = recipe_from({"stages": {"a": {"command": "tests.fake_stage"}}}, tmp_path / "study.yaml")
    assert (recipe.name, recipe.run_dir, recipe.seed) == ("study", Path("runs/study"), 0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"stage": {}}, "unknown key 'stage'. Did you mean 'stages'"),
        ({"stages": {}}, "no stages"),
        ({"stages": [1]}, "stages: expected `key: value` lines"),
        ({"seed": "x"}, "seed = 'x' is not a whole number"),
        ({"stages": {"A b": {"command": "x"}}}, "a stage name is"),
        ({"stages": {"run": {"command": "x"}}}, "neither run nor logs"),
        ({"stages": {"a": {}}}, "stage 'a': command = None is not a module"),
        ({"stages": {"a": {"command": "rm -rf"}}}, "not a module"),
        ({"stages": {"a": {"comand": "x"}}}, "stage 'a': unknown key 'comand'. Did you mean 'command'"),
        ({"stages": {"a": {"command": "x", "options": 3}}}, "stage 'a', options: expected"),
        ({"stages": {"a": {"command": "x", "needs": "b"}}}, "needs = 'b' is not a list"),
        (
            {"stages": {"data": {"command": "x"}, "a": {"command": "x", "options": {"file": "${dta}/b"}}}},
            "stage 'a', file: no stage 'dta'. Did you mean 'data'",
        ),
        (
            {
                "stages": {
                    "a": {"command": "x", "options": {"file": "${b}"}},
                    "b": {"command": "x", "needs": ["a"]},
                }
            },
            "in a circle: (a -> b -> a|b -> a -> b)",
        ),
    ],
)
def test_faults_are_named(change: dict, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as error:
        recipe_from({"stages": {"a": {"command": "x"}}, **change}, Path("r.yaml"))
    assert str(error.value).startswith("r.yaml")


def test_no_such_file_and_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such recipe"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("stages: [")
    with pytest.raises(UserError, match=r"bad\.yaml: not valid YAML"):
        load_recipe(tmp_path / "bad.yaml")


def test_overrides(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    settings = ["teacher.steps=7", "teacher.geometry.flip=false", "teacher.num_workers=3", "seed=2"]
    changed = with_overrides(recipe, settings, Path("elsewhere"))
    assert changed.stages["teacher"].options == {
        "inputs": ["${data}/out.txt"],
        "num_workers": 3,
        "seed": 9,
        "steps": 7,
        "geometry": {"flip": False},
    }
    assert (changed.seed, changed.run_dir) == (2, Path("elsewhere"))
    assert "steps" not in recipe.stages["teacher"].options  # the input stays as it was
    new_need = with_overrides(recipe, ["teacher.weights=${data}/w"]).stages["teacher"].needs
    assert new_need == ("data",)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("teachr.steps=1", "no stage 'teachr'. Did you mean 'teacher'"),
        ("teacher.steps", "expected STAGE.KEY=VALUE"),
        ("steps=1", "expected STAGE.KEY=VALUE"),
        ("teacher.steps=[", "not valid YAML"),
        ("teacher.inputs.x=1", "inputs is not a group"),
    ],
)
def test_faulty_overrides(recipe_path: Path, override: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        with_overrides(load_recipe(recipe_path), [override])


def test_plain_and_back(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    again = recipe_from(yaml.safe_load(yaml.safe_dump(to_plain(recipe))), recipe.path)
    assert to_plain(again) == to_plain(recipe)


def test_references() -> None:
    assert references({"a": ["${x}/1", {"b": "${y}${x}"}], "c": 3}) == ["x", "y"]


def any_recipe(path: Path) -> Recipe:
    """The stages of a run's recipe, or of all cells of a study's."""
    is_study = "models" in yaml.safe_load(path.read_text())
    return expand(load_study(path))[0] if is_study else load_recipe(path)


def test_a_study_is_not_one_run() -> None:
    with pytest.raises(UserError, match=r"study\.yaml: is the recipe of a study; .*python -m distill\.study"):
        load_recipe(PROJECT / "configs" / "study.yaml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_recipe_of_the_project_fits_its_commands(path: Path) -> None:
    """Every stage builds its Config, and the flags that --commands prints give the same Config back."""
    recipe = any_recipe(path)
    for name, stage in recipe.stages.items():
        config_class = command_module(stage.command, recipe.where(name)).Config
        fields = field_types(config_class)
        config = build(config_class, recipe.resolved_options(name, fields), recipe.where(name))
        assert parse_config(config_class, to_flags(config), stage.command) == config


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_recipe_of_the_project_can_be_planned(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = any_recipe(path)
    monkeypatch.chdir(tmp_path)  # where nothing ran, and the user's photographs are empty files
    while True:
        try:
            plans = plan_stages(recipe, Fingerprints())
            break
        except UserError as error:
            missing = re.search(r"= (\S+) does not exist, and no stage makes it", str(error))
            if missing is None:
                raise
            Path(missing[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(missing[1]).touch()
    assert list(plans) == list(recipe.stages)
    assert all(plan.reasons == ["never ran"] for plan in plans.values())
