"""configs.command: flags over recipe over defaults, and what a user sees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from configs.build import build
from configs.command import command_name, parse_config, run_command
from configs.errors import UserError
from configs.flags import to_flags
from configs.provenance import plain, processor, versions, write_provenance
from tests.fake_stage import Config, Geometry, main

PROJECT = Path(__file__).resolve().parent.parent
RECIPE = """
run_dir: {run_dir}
seed: 3
stages:
  a: {{command: tests.fake_stage, options: {{word: from recipe, steps: 1, geometry: {{rotate_deg: 5}}}}}}
"""


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE.format(run_dir=tmp_path / "run"))
    return path


def parsed(*flags: object) -> Config:
    return parse_config(Config, [str(flag) for flag in flags], "tests.fake_stage")


def test_hyphens_and_underscores_and_groups() -> None:
    assert parsed("--output-dir", "a", "--num_workers", 2, "--geometry", "{flip: no, rotate-deg: 1}") == (
        Config(Path("a"), num_workers=2, geometry=Geometry(flip=False, rotate_deg=1.0))
    )


def test_kinds_of_values() -> None:
    config = parsed(
        "--output-dir=a", "--inputs", "b", "c", "--labels", "0.5", "--options", "{k: 3}", "--lr", "-1e-4"
    )
    assert config == Config(Path("a"), [Path("b"), Path("c")], labels=0.5, options={"k": 3}, lr=-1e-4)


def test_a_repeated_list_flag_adds() -> None:
    config = parsed("--inputs", "a", "--output-dir", "o", "--inputs=b", "--inputs", "c", "d")
    assert [str(path) for path in config.inputs] == ["a", "b", "c", "d"]


def test_flags_over_recipe_over_defaults(recipe_path: Path, tmp_path: Path) -> None:
    config = parsed("--recipe", recipe_path, "--steps", 4)
    expected = Config(
        tmp_path / "run/a", word="from recipe", steps=4, geometry=Geometry(rotate_deg=5.0), seed=3
    )
    assert config == expected
    assert parsed(f"--recipe={recipe_path}", "--stage=a", "--steps=4") == config


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--step", "3"], "unknown flag --step. Did you mean '--steps'"),
        (["--Num-Worker=3"], "unknown flag --Num-Worker. Did you mean '--num-workers'"),
        (["--geometry.flip", "0"], r"--geometry takes one mapping, --geometry '\{flip: \.\.\.\}'"),
        (["--output-dir", "a", "--geometry", "{flop: no}"], "unknown option 'flop'. Did you mean 'flip'"),
        (["--output-dir", "a", "--geometry", "{flip: no"], "not valid YAML"),
        (["--stage", "a"], "give --recipe"),
        (["--output-dir", "a", "--steps", "-1"], "steps = -1 is negative"),
    ],
)
def test_faulty_flags(flags: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        parsed(*flags)


def test_faults_between_recipe_and_command(recipe_path: Path) -> None:
    with pytest.raises(UserError, match="no stage 'b'. Stages: a"):
        parsed("--recipe", recipe_path, "--stage", "b")
    with pytest.raises(UserError, match="has no stage of teacher.train, only of tests.fake_stage"):
        parse_config(Config, ["--recipe", str(recipe_path)], "teacher.train")
    with pytest.raises(UserError, match="stage 'a' is for tests.fake_stage, not teacher.train"):
        parse_config(Config, ["--recipe", str(recipe_path), "--stage", "a"], "teacher.train")
    text = recipe_path.read_text()
    recipe_path.write_text(text.replace("steps", "stepz"))
    with pytest.raises(UserError, match="stage 'a': unknown option 'stepz'. Did you mean 'steps'"):
        parsed("--recipe", recipe_path)
    recipe_path.write_text(text + "  b: {command: tests.fake_stage}\n")
    with pytest.raises(UserError, match="has 2 stages of tests.fake_stage: a, b"):
        parsed("--recipe", recipe_path)


def test_a_configuration_comes_back_from_its_flags() -> None:
    config = Config(
        Path("a b"),
        [Path("c"), Path("d")],
        weights=Path("w"),
        word="--odd",
        lr=-2.5e-7,
        labels=7,
        mode="fail",
        options={"k": 3, "m": "x"},
        geometry=Geometry(False, 0.1),
    )
    assert parsed(*to_flags(config)) == config
    assert to_flags(Config(Path("a"))) == ["--output-dir", "a"]


def test_result_is_the_last_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    result = run_command(Config, main, argv=["--output-dir", str(tmp_path)])
    assert capsys.readouterr().out.splitlines()[-1] == f"result: {result}"
    assert result == tmp_path / "out.txt"


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        (["--mode", "user_error"], 2, "error: this stage cannot work.\n"),
        (["--nonsense"], 2, "error: unknown flag --nonsense."),
        (["--mode", "interrupt"], 130, "interrupted: add `--resume auto` to the same command"),
        (["--mode", "fail"], 7, ""),
        (["--steps", "x"], 2, "invalid literal for int"),
    ],
)
def test_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture, flags: list[str], status: int, said: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(Config, main, argv=["--output-dir", str(tmp_path), *flags])
    assert stop.value.code == status
    assert said in capsys.readouterr().err


def test_an_exit_after_an_interrupt_counts_as_one(capsys: pytest.CaptureFixture) -> None:
    def as_lightning_does(config: Config) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    with pytest.raises(SystemExit) as stop:
        run_command(Config, as_lightning_does, argv=["--output-dir", "a"])
    assert stop.value.code == 130


def test_run_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fake_stage"]
    helped = subprocess.run([*command, "--help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "usage: python -m tests.fake_stage" in helped.stdout
    assert "rotate_deg: 10.0" in helped.stdout
    assert "--recipe R.yaml" in helped.stdout
    failed = subprocess.run([*command, "--output-dir"], cwd=PROJECT, capture_output=True, text=True)
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr


def test_provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    config = Config(tmp_path / ".work" / "a", inputs=[Path("b")], seed=4)
    content = yaml.safe_load(write_provenance(tmp_path, config).read_text())
    assert content["command"] == command_name(Config) == "tests.fake_stage"
    assert content["seed"] == 4
    assert content["versions"] == versions()
    assert content["versions"]["numpy"] == __import__("numpy").__version__
    assert content["processor"] == processor() != ""
    assert build(Config, content["config"], "run.yaml") == config
    monkeypatch.setenv("PINNA_PIPELINE_PID", "1")
    assert plain(config)["output_dir"] == str(tmp_path / "a")  # where the result will lie


def test_positional_and_renamed_fields_come_back_too() -> None:
    import distill.run

    config = distill.run.Config(Path("r.yaml"), start="a", set=("a.b=3", "c.d=[1]"), dry_run=True)
    words = to_flags(config)
    assert words == ["r.yaml", "--dry-run", "--from", "a", "--set", "a.b=3", "c.d=[1]"]
    assert parse_config(distill.run.Config, words, "distill.run") == config


def killed_worker(config: Config) -> None:
    """A pool whose worker the system ends, as it does when memory runs out."""
    with ProcessPoolExecutor(1) as pool:
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()


def killed_loader(config: Config) -> None:
    raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")  # torch's own words


@pytest.mark.parametrize("lost", [killed_worker, killed_loader])
def test_a_lost_worker_is_a_sentence(lost: Callable, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(Config, lost, "tests.fake_stage", ["--output-dir", "a"])
    assert stop.value.code == 2
    assert "error: a worker process was ended from outside" in capsys.readouterr().err


def test_other_errors_of_a_run_stay_what_they_are() -> None:
    def bug(config: Config) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run_command(Config, bug, "tests.fake_stage", ["--output-dir", "a"])
