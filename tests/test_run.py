"""distill.run: the pipeline on fake stages."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from configs.errors import UserError
from configs.recipe import load_recipe
from distill.execute import execute
from distill.fingerprint import Fingerprints
from distill.run import Config, main
from distill.workplace import locked

PROJECT = Path(__file__).resolve().parent.parent
FAKE = "tests.fake_stage"
RUN = Path("run")


STAGES = """
run_dir: run
seed: 1
stages:
  data: {command: tests.fake_stage, options: {inputs: [outside.txt], steps: 1}}
  teacher: {command: tests.fake_stage, options: {inputs: ["${data}/out.txt"], steps: 2}}
  student: {command: tests.fake_stage, options: {inputs: ["${teacher}/out.txt"], steps: 1}}
  detector: {command: tests.fake_stage, options: {inputs: ["${data}/out.txt"], steps: 1}}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data -> teacher -> student, and data -> detector, in the current folder. Nothing has run."""
    enter(tmp_path, monkeypatch)
    Path("outside.txt").write_text("from outside")
    Path("recipe.yaml").write_text(STAGES)
    return Path("recipe.yaml")


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(folder, monkeypatch)
        Path("outside.txt").write_text("from outside")
        Path("recipe.yaml").write_text(STAGES)
        run(Path("recipe.yaml"))
    return folder


@pytest.fixture
def finished(finished_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same recipe, all of it run."""
    shutil.copytree(finished_folder, tmp_path, dirs_exist_ok=True)
    enter(tmp_path, monkeypatch)
    return Path("recipe.yaml")


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))


def run(recipe: Path, *settings: str, **flags) -> None:
    main(Config(recipe, set=settings, **flags))


def plan(recipe: Path, capsys: pytest.CaptureFixture, *settings: str, **flags) -> dict[str, str]:
    """{stage: its line of --dry-run}."""
    capsys.readouterr()
    run(recipe, *settings, dry_run=True, **flags)
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[1]: " ".join([line.split()[0], *line.split()[2:]]) for line in lines}


def runs() -> dict[str, str]:
    """{published stage: id of the run that made it}."""
    records = RUN.glob("*/stage.json")
    return {path.parent.name: json.loads(path.read_text())["run"] for path in records}


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


def test_commands_that_are_none(recipe: Path) -> None:
    text = recipe.read_text()
    for command, complaint in [
        ("teacher.trian", "there is no command 'teacher.trian'"),
        ("nothing.at.all", "there is no command"),
        ("configs.errors", "has no dataclass `Config`"),
        ("distill.run", "takes no output_dir"),
    ]:
        recipe.write_text(text.replace(FAKE, command))
        with pytest.raises(UserError, match=complaint):
            run(recipe, dry_run=True)


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


def test_a_failing_stage_stops_the_pipeline(recipe: Path, capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        run(recipe, "teacher.mode=fail")
    assert stop.value.code == 7
    assert set(runs()) == {"data"}
    error = capfd.readouterr().err
    assert "stage teacher failed with exit status 7" in error
    assert str(RUN / "logs/teacher.log") in error


def test_a_failed_rerun_leaves_the_published_output(finished: Path) -> None:
    before = runs()
    with pytest.raises(SystemExit):
        run(finished, "teacher.mode=user_error")
    assert runs() == before
    assert "mode" not in (RUN / "teacher/out.txt").read_text()


def test_killed_then_resumed(recipe: Path, capsys: pytest.CaptureFixture) -> None:
    settings = ("teacher.mode=kill_once", "teacher.steps=3")
    with pytest.raises(SystemExit) as stop:
        run(recipe, *settings, until="teacher")
    assert stop.value.code == 128 + signal.SIGKILL
    folder = RUN
    assert not (folder / "teacher").exists()
    assert plan(recipe, capsys, *settings)["teacher"] == "run was cut off; goes on where it was cut off"
    run(recipe, *settings, until="teacher")
    log = (folder / "logs/teacher.log").read_text()
    assert "resumed after 1 lines" in log
    assert log.count(FAKE) == 2  # the log of the first try is kept
    assert (
        (folder / "teacher/out.txt").read_text().startswith("hello 0 seed 1\nhello 1 seed 1\nhello 2 seed 1")
    )


def test_what_was_cut_off_is_dropped_when_it_asks_for_something_else(recipe: Path) -> None:
    with pytest.raises(SystemExit):
        run(recipe, "teacher.mode=kill_once", "teacher.word=before", until="teacher")
    run(recipe, "teacher.word=after", until="teacher")
    folder = RUN
    assert "before" not in (folder / "teacher/out.txt").read_text()
    assert "resumed" not in (folder / "logs/teacher.log").read_text()


def test_a_publication_that_was_cut_off_is_completed(finished: Path, capsys: pytest.CaptureFixture) -> None:
    before = runs()
    folder = RUN
    (folder / "teacher").rename(
        folder / ".work/teacher"
    )  # finished, and the old one moved away: killed there
    (folder / ".work/teacher.old").mkdir()
    run(finished)
    assert runs() == before
    assert not (folder / ".work/teacher.old").exists()


def test_a_folder_made_by_hand_is_not_replaced(recipe: Path) -> None:
    folder = RUN
    (folder / "teacher").mkdir(parents=True)
    (folder / "teacher/out.txt").write_text("by hand")
    with pytest.raises(UserError, match="was not made by the pipeline.*--adopt teacher"):
        run(recipe)
    assert (folder / "teacher/out.txt").read_text() == "by hand"
    run(recipe, adopt=("teacher",))
    run(recipe)
    assert "by hand" in (folder / "student/out.txt").read_text()


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


def test_two_runs_in_one_folder(recipe: Path) -> None:
    folder = RUN
    with locked(folder), pytest.raises(UserError, match="another run is at work in this folder.*--run-dir"):
        run(recipe)
    run(recipe, until="data")  # free again


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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_stage_too(recipe: Path, number: signal.Signals, status: int) -> None:
    process, child = start_and_wait(recipe)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == status
    assert "interrupted in stage teacher: the same command again goes on" in out
    assert not is_running(child)


def test_a_killed_pipeline_takes_its_stage_along(recipe: Path) -> None:
    process, child = start_and_wait(recipe)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)
    run(recipe, "teacher.mode=wait", until="teacher")  # the lock is free, and the stage goes on
    assert "resumed after 1 lines" in (RUN / "logs/teacher.log").read_text()


def start_and_wait(recipe: Path) -> tuple[subprocess.Popen, int]:
    """A pipeline as a process of its own, once its stage `teacher` is at work; and the stage's process id."""
    command = [sys.executable, "-m", "distill.run", str(recipe), "--set", "teacher.mode=wait"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    partial = RUN / ".work/teacher/partial.txt"
    while not partial.exists():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    return process, int(children[0])


def is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_execute_logs_lines_and_the_last_state_of_a_bar(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture
) -> None:
    program = "import sys; print('a'); sys.stderr.write('\\r10%\\r50%\\r100%\\n'); "
    program += "print('end', end=''); sys.exit(3)"
    assert execute([sys.executable, "-c", program], tmp_path / "logs/x.log") == 3
    head, *lines = (tmp_path / "logs/x.log").read_text().splitlines()
    assert sys.executable in head
    assert lines == ["a", "100%", "end"]
    assert b"\r50%" in capfdbinary.readouterr().out  # the screen sees it all


def test_execute_does_not_wait_for_what_the_command_left_behind(tmp_path: Path) -> None:
    program = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print('done')"
    began = time.monotonic()
    assert execute([sys.executable, "-c", program], tmp_path / "x.log") == 0
    assert time.monotonic() - began < 30


def test_fingerprints(tmp_path: Path) -> None:
    from data.manifest import Manifest, write_manifest

    image = tmp_path / "ear.jpg"
    image.write_bytes(b"ear")
    path = tmp_path / "train.npy"
    write_manifest(path, Manifest(image_paths=np.array([str(image)]), boxes_xyxy=np.array([[0, 0, 9, 9]])))
    memory = tmp_path / "memory.json"
    fingerprints = Fingerprints(memory)
    first = fingerprints.of(path)
    folder_first = fingerprints.of(tmp_path)
    fingerprints.remember()
    assert Fingerprints(memory).of(path) == Fingerprints().of(path) == first
    image.write_bytes(b"another ear")
    assert Fingerprints(memory).of(path) != first  # the manifest is the same, an image it lists is not
    assert Fingerprints().of(tmp_path) != folder_first
    np.save(tmp_path / "plain.npy", np.eye(3))
    assert Fingerprints().of(tmp_path / "plain.npy")
    with pytest.raises(FileNotFoundError):
        Fingerprints().of(tmp_path / "none")
