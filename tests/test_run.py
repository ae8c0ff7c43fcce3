"""distill.run: what runs, and why."""

from __future__ import annotations

import os
import shlex
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from configs.build import field_types
from configs.errors import UserError
from configs.recipe import load_recipe, with_overrides
from distill.pipeline.commands import STAGE_COMMANDS
from distill.pipeline.runner import run_pipeline
from distill.pipeline.schedule import threads_each
from distill.run import Config, main
from tests.fake_pipeline import FAKE, MEETING, RUN, STAGES, finished, finished_folder, plan, recipe, run, runs
from tests.test_imports import COMMANDS, module_name


def test_everything_once_then_nothing(recipe: Path, capsys: pytest.CaptureFixture) -> None:
    assert plan(recipe, capsys) == dict.fromkeys(["data", "teacher", "student", "detector"], "run never ran")
    run(recipe)
    folder = RUN
    first = runs()
    assert sorted(first) == ["data", "detector", "student", "teacher"]
    text = (folder / "student/out.txt").read_text()
    for part in ("from outside", "hello 1 seed 1", "'flip': True"):
        assert part in text
    assert "result: " in (folder / "logs/student.log").read_text()
    assert not list((folder / ".work").glob("*/"))
    assert set(plan(recipe, capsys).values()) == {"skip up to date"}
    run(recipe)
    assert runs() == first


def test_a_changed_setting_reruns_exactly_what_depends_on_it(
    finished: Path, capsys: pytest.CaptureFixture
) -> None:
    before = runs()
    expected = {
        "data": "skip up to date",
        "teacher": "run setting steps 2 -> 3; setting geometry.flip True -> False",
        "student": "run upstream teacher changed",
        "detector": "skip up to date",
    }
    settings = ("teacher.steps=3", "teacher.geometry.flip=false", "teacher.num_workers=2")
    assert plan(finished, capsys, *settings) == expected
    run(finished, *settings)
    changed = {name for name, number in runs().items() if number != before[name]}
    assert changed == {"teacher", "student"}
    assert set(plan(finished, capsys, *settings).values()) == {"skip up to date"}
    assert plan(finished, capsys)["teacher"].startswith("run setting steps 3 -> 2")


def test_what_does_not_change_the_result_does_not_rerun(
    finished: Path, capsys: pytest.CaptureFixture
) -> None:
    assert set(plan(finished, capsys, "data.num_workers=7").values()) == {"skip up to date"}


def test_a_changed_input_file(finished: Path, capsys: pytest.CaptureFixture) -> None:
    os.utime("outside.txt", (1, 1))  # touched, but the content is the same
    assert plan(finished, capsys)["data"] == "skip up to date"
    Path("outside.txt").write_text("something else")
    found = plan(finished, capsys)
    assert found["data"] == "run input file outside.txt changed"
    assert found["student"] == "run upstream teacher changed"


def test_text_that_names_a_file_counts_as_an_input(recipe: Path, capsys: pytest.CaptureFixture) -> None:
    run(recipe, "data.word=recipe.yaml", until="data")
    assert plan(recipe, capsys, "data.word=recipe.yaml")["data"] == "skip up to date"
    recipe.write_text(STAGES + "\n# changed\n")
    assert plan(recipe, capsys, "data.word=recipe.yaml")["data"] == "run input file recipe.yaml changed"


def test_a_deleted_output_is_made_again_with_its_dependents(
    finished: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = RUN
    (folder / "teacher").rename(folder.parent / "away")
    found = plan(finished, capsys)
    assert found["teacher"] == "run never ran"
    assert found["student"] == "run upstream teacher changed"
    assert found["detector"] == "skip up to date"
    run(finished, until="teacher")
    assert plan(finished, capsys)["student"] == "run upstream teacher changed"  # made by another run


@pytest.mark.parametrize(
    ("flags", "stages"),
    [
        ({"only": ("data",)}, {"data"}),
        ({"until": "teacher"}, {"data", "teacher"}),
        ({"start": "data", "until": "detector"}, {"data", "detector"}),
    ],
)
def test_chosen_stages(recipe: Path, flags: dict, stages: set[str]) -> None:
    run(recipe, **flags)
    assert set(runs()) == stages


def test_from_takes_what_depends_on_it(recipe: Path, capsys: pytest.CaptureFixture) -> None:
    run(recipe, until="teacher")
    found = plan(recipe, capsys, start="teacher")
    assert found["data"] == "- not chosen; up to date"
    assert found["detector"].startswith("- not chosen; stale")
    assert (found["teacher"], found["student"]) == ("skip up to date", "run never ran")


def test_a_stale_stage_that_is_not_chosen_is_taken_as_it_is(
    finished: Path, capsys: pytest.CaptureFixture
) -> None:
    found = plan(finished, capsys, "data.steps=5", start="teacher")
    assert found["data"].startswith("- not chosen; stale: setting steps 1 -> 5")
    assert found["teacher"] == "skip up to date"


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"only": ("studnt",)}, "no stage 'studnt'. Did you mean 'student'"),
        ({"only": ("student",)}, "stage 'student' needs 'teacher', which never ran"),
        ({"only": ("data",), "until": "data"}, "--only names the stages"),
        ({"start": "detector", "until": "teacher"}, "nothing lies between"),
        ({"set": ("teacher.stepz=1",)}, "stage 'teacher': unknown option 'stepz'. Did you mean 'steps'"),
        ({"set": ("teacher.steps=-1",)}, "stage 'teacher': steps = -1 is negative"),
        ({"set": ("teacher.output_dir=x",)}, "output_dir is set by the pipeline"),
        ({"set": ("teacher.resume=auto",)}, "resume is set by the pipeline"),
        ({"set": ("data.weights=none.pth",)}, "weights = none.pth does not exist, and no stage makes it"),
    ],
)
def test_faults_are_found_before_anything_runs(recipe: Path, flags: dict, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        main(Config(recipe, **flags))
    assert not runs()


def test_commands_that_are_none(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = recipe.read_text()
    Path("lying_about.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    monkeypatch.syspath_prepend(".")
    for command, complaint in [
        ("teacher.trian", "there is no command 'teacher.trian'.* Did you mean 'teacher.train'"),
        ("nothing.at.all", "there is no command"),
        ("distill.run", "there is no command"),
        ("lying_about", "there is no command 'lying_about'"),
    ]:
        recipe.write_text(text.replace(FAKE, command))
        with pytest.raises(UserError, match=complaint):
            run(recipe, dry_run=True)
    assert not Path("imported").exists()  # it was not even looked into


def test_every_command_with_an_output_folder_may_be_a_stage() -> None:
    names = {module_name(path).removesuffix(".__main__"): module_name(path) for path in COMMANDS}
    folders = {
        name for name, module in names.items() if "output_dir" in field_types(import_module(module).Config)
    }
    assert STAGE_COMMANDS - {FAKE, "tests.fake_score"} == folders


def test_a_path_into_the_run_without_a_reference(recipe: Path) -> None:
    with pytest.raises(UserError, match=r"write \$\{teacher\}/out.txt"):
        run(recipe, "detector.weights=run/teacher/out.txt")


def test_a_file_that_an_upstream_stage_does_not_make(recipe: Path) -> None:
    with pytest.raises(
        UserError, match=r"ou\.txt is not among the outputs of stage 'data'. Did you mean 'out"
    ):
        run(recipe, "teacher.weights=${data}/ou.txt")
    assert set(runs()) == {"data"}
    with pytest.raises(UserError, match="is not among the outputs"):  # now known without running anything
        run(recipe, "teacher.weights=${data}/ou.txt", dry_run=True)


def test_plain_commands_do_the_same(recipe: Path, capsys: pytest.CaptureFixture) -> None:
    Path("outside.txt").rename("it's outside.txt")
    settings = ('data.inputs=["it\'s outside.txt"]', "data.options={k: a b}", "teacher.geometry.flip=no")
    run(recipe, *settings)
    folder = RUN
    expected = (folder / "student/out.txt").read_text()
    folder.rename(folder.with_name("before"))
    capsys.readouterr()
    run(recipe, *settings, commands=True)
    commands = capsys.readouterr().out.splitlines()
    assert [shlex.split(command)[2] for command in commands] == [FAKE] * 4
    subprocess.run(["bash", "-e"], input="\n".join(commands), text=True, check=True)
    assert (folder / "student/out.txt").read_text() == expected
    assert not runs()
    run(recipe, *settings, adopt=("data", "teacher", "student", "detector"))
    assert set(plan(recipe, capsys, *settings).values()) == {"skip up to date"}


def test_another_run_folder(recipe: Path, tmp_path: Path) -> None:
    run(recipe, until="data", run_dir=tmp_path / "other")
    assert (tmp_path / "other/data/out.txt").exists()
    assert load_recipe(tmp_path / "other/recipe.yaml").run_dir == tmp_path / "other"
    assert not RUN.exists()


def test_force(finished: Path) -> None:
    before = runs()
    run(finished, only=("detector",), force=True)
    changed = {name for name, number in runs().items() if number != before[name]}
    assert changed == {"detector"}


def test_several_at_once_wait_for_what_they_need(recipe: Path, capfd: pytest.CaptureFixture) -> None:
    """Each of two waits for a file that the other writes: one after the other they would fail."""
    recipe.write_text(MEETING)
    run(recipe, jobs=2)
    assert sorted(runs()) == ["after", "first", "second"]
    assert "first met second" in (RUN / "after/out.txt").read_text()
    assert "result:" not in capfd.readouterr().out  # with several at once a stage's output is in its log
    assert "OMP_NUM_THREADS=1" in (RUN / "first/out.txt").read_text()


def test_threads_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert [threads_each(jobs) for jobs in (1, 2, 3, 9)] == [8, 4, 2, 1]


def test_a_failure_among_several_lets_the_others_end(recipe: Path, capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        run(recipe, "teacher.mode=fail", jobs=2)
    assert stop.value.code == 7
    assert set(runs()) == {"data", "detector"}  # detector was at work when teacher failed, or began before
    error = capfd.readouterr().err
    assert "stage teacher failed with exit status 7" in error
    assert "  teacher: " in error  # the end of its log


def test_keeping_on_after_a_failure(recipe: Path, capfd: pytest.CaptureFixture) -> None:
    wanted = with_overrides(load_recipe(recipe), ["teacher.mode=fail"])
    failed = run_pipeline(wanted, list(wanted.stages), keep_going=True)
    assert set(runs()) == {"data", "detector"}
    assert failed["teacher"].startswith("failed with exit status 7")
    assert failed["student"] == "not run, it needs teacher"
