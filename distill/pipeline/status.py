"""A run as it stands: state, age and size of each stage, and what is at work. Nothing is written."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

from configs.recipe import Recipe
from distill.pipeline.live import LiveRun, duration, live_run
from distill.pipeline.plan import RECORD, read_record
from distill.pipeline.publish import work_dir_of

_UNITS = ("B", "KB", "MB", "GB", "TB")


def status(recipe: Recipe) -> list[str]:
    """Lines: what is at work, then one a stage. Whether a stage is stale is for --dry-run to say."""
    live = live_run(recipe.run_dir)
    head = f"{recipe.run_dir}: {'nothing is at work' if live is None else f'a run is at work: {live}'}"
    rows = [(name, *_stage(recipe, name, live)) for name in recipe.stages]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    free = [f"{name:<{widths[0]}}  {size:>{widths[1]}}  {state}" for name, size, state in rows]
    return [head, *free]


def _stage(recipe: Recipe, name: str, live: LiveRun | None) -> tuple[str, str]:
    """(size, state in words) of a stage."""
    output_dir, work_dir = recipe.output_dir(name), work_dir_of(recipe, name)
    if live is not None and name in live.began:
        quiet = time.time() - _last_change(recipe.run_dir / "logs" / f"{name}.log", work_dir)
        since = duration(time.time() - live.began[name])
        return _size(work_dir), f"running for {since}, wrote {duration(quiet)} ago"
    try:
        record = read_record(output_dir)
        when = None if record is None else datetime.strptime(record["finished"], "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:  # a UserError too
        return _size(output_dir), f"its {RECORD} cannot be read"
    cut_off = f"; a newer try was cut off {_ago(work_dir)}" if work_dir.is_dir() else ""
    if record is not None and when is not None:
        took = "" if record.get("seconds") is None else f", took {duration(float(record['seconds']))}"
        return _size(output_dir), f"finished {duration(time.time() - when.timestamp())} ago{took}{cut_off}"
    if output_dir.exists():
        return _size(output_dir), f"made by hand {_ago(output_dir)}, see --adopt"
    if work_dir.is_dir():
        return _size(work_dir), f"cut off {_ago(work_dir)}"
    return "", "never ran"


def _ago(folder: Path) -> str:
    return f"{duration(time.time() - _last_change(folder))} ago"


def _last_change(*paths: Path) -> float:
    """When something in files or folders last changed, seconds of the epoch."""
    files = [file for path in paths for file in (path, *path.rglob("*"))]
    return max((file.lstat().st_mtime for file in files if os.path.lexists(file)), default=time.time())


def _size(folder: Path) -> str:
    """Of all files below a folder, in a unit of three digits at most."""
    count = float(sum(file.lstat().st_size for file in folder.rglob("*") if os.path.lexists(file)))
    for unit in _UNITS:
        if count < 999.5 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.3g} {unit}"
