"""What the report reads: files of the stages' folders; for one that is missing, which stage makes it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from configs.errors import UserError
from configs.reading.content import read_json, read_yaml
from data.images import read_image
from data.manifest import Manifest, read_manifest
from distill.report.roles import COMMANDS, REPORT

T = TypeVar("T")


@dataclass(frozen=True)
class Absent:
    """An input the report does without. False in conditions, so that `value or default` reads well."""

    stage: str
    file: str
    reason: str

    def __bool__(self) -> bool:
        return False

    @property
    def command(self) -> str:
        """The command that makes it, after `python -m`."""
        return COMMANDS[self.stage]


class Inputs:
    """The folders of a run's stages. Every method that reads returns what it read, or an Absent with the
    reason.

    run_dir: where a stage's folder lies that `folders` has not. `damaged` lists the files that are there but
    cannot be read.
    """

    def __init__(self, run_dir: Path, folders: Mapping[str, Path]) -> None:
        self.run_dir = run_dir
        self.folders = {stage: folders.get(stage, run_dir / stage) for stage in COMMANDS}
        self.damaged: list[Absent] = []

    def stages(self) -> list[str]:
        """Those that a section shows, then whatever other stage of the run recorded what it did."""
        others = {path.parent.name for path in self.run_dir.glob("*/run.yaml")}
        return [*self.folders, *sorted(others - self.folders.keys() - {REPORT})]

    def path(self, stage: str, name: str) -> Path | Absent:
        """A file of a stage; `name` may be a pattern, then the last match in alphabetical order."""
        folder = self.folders.get(stage, self.run_dir / stage)
        if not folder.is_dir():
            return Absent(stage, name, f"there is no folder {folder}")
        found = sorted(folder.glob(name))
        return found[-1] if found else Absent(stage, name, f"{name} is not in {folder}")

    def json(self, stage: str, name: str) -> dict[str, Any] | Absent:
        """A JSON object."""
        return self._read(stage, name, _json_object)

    def yaml(self, stage: str, name: str = "run.yaml") -> dict[str, Any] | Absent:
        """A YAML mapping, by default what the stage recorded about itself."""
        return self._read(stage, name, _yaml_mapping)

    def table(self, stage: str, name: str = "metrics.csv") -> dict[str, np.ndarray] | Absent:
        """The columns of a CSV file, each (rows,) float64, NaN where a cell is empty."""
        return self._read(stage, name, _csv_columns)

    def arrays(self, stage: str, name: str) -> dict[str, np.ndarray] | Absent:
        """The arrays of an `.npz`."""
        return self._read(stage, name, _npz_arrays)

    def picture(self, stage: str, name: str) -> np.ndarray | Absent:
        """A picture (H, W, 3) uint8 RGB."""
        return self._read(stage, name, read_image)

    def manifest(self, stage: str, name: str) -> Manifest | Absent:
        """A manifest."""
        return self._read(stage, name, read_manifest)

    def evaluated(self, option: str, name: str) -> Manifest | Absent:
        """The manifest that students.evaluate recorded under `option`, else the data's of that name."""
        config = (self.yaml("evaluate") or {}).get("config")
        taken = config.get(option) if isinstance(config, Mapping) else None
        if taken and Path(taken).is_file():
            return self._read_path("evaluate", str(taken), Path(taken), read_manifest)
        return self.manifest("data", name)

    def _read(self, stage: str, name: str, reader: Callable[[Path], T]) -> T | Absent:
        path = self.path(stage, name)
        return self._read_path(stage, name, path, reader) if path else path

    def _read_path(self, stage: str, name: str, path: Path, reader: Callable[[Path], T]) -> T | Absent:
        try:
            return reader(path)
        except Exception as error:  # whatever a damaged file raises, the rest of the report is still wanted
            absent = Absent(stage, name, f"{path} cannot be read ({error})")
            if absent not in self.damaged:
                self.damaged.append(absent)
            return absent


def _json_object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"holds a {type(content).__name__}, expected an object")
    return content


def _yaml_mapping(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"holds a {type(content).__name__}, expected a mapping")
    return content


def _csv_columns(path: Path) -> dict[str, np.ndarray]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise UserError("holds no rows")
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def _npz_arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as content:
        return dict(content)
