"""Where a stage works and how its output gets its place: `run_dir/.work/STAGE`, then `run_dir/STAGE`.

A published folder appears by a rename, whole. What it replaces is moved away first and deleted last.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from configs.errors import UserError
from configs.files import full_disk_is_a_user_error, write_json, writing_below
from configs.provenance import WORK
from configs.reading.content import read_json
from configs.recipe import Recipe
from distill.pipeline.live import LIVE, LOCK, live_run, say_live
from distill.pipeline.plan import RECORD, StagePlan, read_record

_OLD = ".old"
_PATIENCE_S = 0.5  # somebody may just look whether a run is at work


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Keep every other run out of `run_dir`. Raises UserError when one is at work there."""
    with writing_below(run_dir):
        with full_disk_is_a_user_error(run_dir / WORK / LOCK):
            (run_dir / WORK).mkdir(parents=True, exist_ok=True)
        lock = FileLock(run_dir / WORK / LOCK)
        try:
            lock.acquire(timeout=_PATIENCE_S)
        except Timeout:
            raise UserError(
                f"{run_dir}: another run is at work in this folder ({live_run(run_dir)}). "
                "Wait until it has ended, or take another folder with --run-dir DIR."
            ) from None
        try:
            say_live(run_dir)
            yield
        finally:
            (run_dir / WORK / LIVE).unlink(missing_ok=True)
            lock.release()


def prepare(plan: StagePlan, identity: dict[str, Any]) -> bool:
    """Make the folder to work in ready. Returns whether the command can go on where it was cut off.

    What an earlier try left is kept only when it asked for the very same thing and the command can resume.
    """
    begun = _begun_path(plan.work_dir)
    goes_on = resumes(plan, identity)
    with full_disk_is_a_user_error(plan.work_dir):
        if not goes_on:
            begun.unlink(missing_ok=True)
            _remove(plan.work_dir)
        plan.work_dir.mkdir(parents=True, exist_ok=True)
    write_json(begun, identity)
    return goes_on


def resumes(plan: StagePlan, identity: dict[str, Any]) -> bool:
    """Whether an earlier try of the same thing was cut off and can be resumed."""
    begun = _begun_path(plan.work_dir)
    if not (plan.resumable and plan.work_dir.is_dir() and begun.exists()) or plan.work_dir.is_symlink():
        return False
    return read_json(begun) == identity


def has_checkpoint(plan: StagePlan) -> bool:
    """Whether what was cut off had saved something to go on from."""
    return any(next(plan.work_dir.rglob(pattern), None) for pattern in plan.resumes_from)


def publish(plan: StagePlan, identity: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Give the finished work its place. Returns its record."""
    record = {
        **identity,
        "run": secrets.token_hex(8),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": round(seconds, 1),
    }
    write_json(plan.work_dir / RECORD, record)
    _put_in_place(plan.work_dir, plan.output_dir)
    return record


def complete_publications(recipe: Recipe) -> None:
    """Put finished work in its place where an earlier run was killed between the two, and clean up."""
    for name in recipe.stages:
        _put_in_place(work_dir_of(recipe, name), recipe.output_dir(name))


def work_dir_of(recipe: Recipe, name: str) -> Path:
    """Where a stage works until its output is published."""
    return recipe.run_dir / WORK / name


def _put_in_place(work_dir: Path, output_dir: Path) -> None:
    old = work_dir.with_name(work_dir.name + _OLD)
    if read_record(work_dir) is not None:  # the record is written last: the work is whole
        if output_dir.exists():
            _remove(old)
            output_dir.rename(old)
        work_dir.rename(output_dir)
        _begun_path(work_dir).unlink(missing_ok=True)
    if output_dir.exists():
        _remove(old)


def _remove(folder: Path) -> None:
    """Of a link (an output that lies on another disk) only the link goes."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def adopt(plan: StagePlan, identity: dict[str, Any]) -> dict[str, Any]:
    """Take a folder that the plain command made, as in a batch queue, as the output. Returns its record."""
    if not plan.output_dir.is_dir():
        raise UserError(f"{plan.output_dir}: there is no such folder to adopt.")
    record = {
        **identity,
        "run": secrets.token_hex(8),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": None,
    }
    write_json(plan.output_dir / RECORD, record)
    return record


def _begun_path(work_dir: Path) -> Path:
    """What the work in progress was begun for, beside the folder: commands may empty their output folder."""
    return work_dir.with_name(f"{work_dir.name}.json")
