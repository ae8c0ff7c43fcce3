"""SIGKILL of a run ends its stages, their workers and their loaders."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_run_recovery import is_running

PROJECT = Path(__file__).resolve().parent.parent
RECIPE = """
run_dir: run
stages:
  data: {command: data.render, options: {ears: 2000, scenes: 0, num_workers: 2}}
"""
LOADING = """
import multiprocessing, time
from concurrent.futures import ProcessPoolExecutor
from configs.processes.lifetime import end_with_parent

class Slow:
    def __len__(self):
        return 8

    def __getitem__(self, index):
        time.sleep(60)

if __name__ == "__main__":
    from torch.utils.data import DataLoader
    from data.loading.workers import prepare_worker

    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=end_with_parent)
    pool.submit(time.sleep, 60)
    iterator = iter(DataLoader(Slow(), 4, num_workers=2, worker_init_fn=prepare_worker))
    print("at work", flush=True)
    time.sleep(60)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for descendants in /proc")


def descendants(process_id: int) -> set[int]:
    """Ids of the processes that one started, and of those they started."""
    try:
        found = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    except FileNotFoundError:
        return set()
    return {int(word) for word in found}.union(*(descendants(int(word)) for word in found))


@contextlib.contextmanager
def started(command: list[str], folder: Path) -> Iterator[subprocess.Popen]:
    """A Python process of the project; what it started is ended with it, should the test fail."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            for left in descendants(process.pid) | {process.pid}:
                os.kill(left, signal.SIGKILL)


def assert_end_with(process: subprocess.Popen, at_least: int) -> None:
    """SIGKILL a process as soon as it has so many descendants at work; all of them have to end."""
    deadline = time.monotonic() + 60
    while len(found := set(filter(works, descendants(process.pid)))) < at_least:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while (left := set(filter(is_running, found))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def works(process_id: int) -> bool:
    """Whether it is more than the tracker that multiprocessing starts beside its workers."""
    try:
        return b"resource_tracker" not in Path(f"/proc/{process_id}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def test_a_killed_pipeline_takes_the_workers_of_its_stage_along(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with started(["-m", "distill.run", "recipe.yaml"], tmp_path) as process:
        while not list(tmp_path.glob("run/.work/data/**/*.jpg")):  # the workers are at work
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.05)
        assert_end_with(process, at_least=3)


def test_a_killed_training_takes_its_loaders_along(tmp_path: Path) -> None:
    (tmp_path / "loading.py").write_text(LOADING)
    with started(["loading.py"], tmp_path) as process:
        assert process.stdout.readline() == "at work\n"
        assert_end_with(process, at_least=3)
