"""predictions.json as it goes: on the disk before all is predicted, and continued by the same command."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import UserError
from configs.files import write_json
from configs.reading.content import read_json
from configs.reading.records import as_record
from data.formats.predictions import EarRecord
from students.inference.inputs import ENDLESS, Input

SAVE_EVERY_S = 10.0


class Progress:
    """The records of inputs in the order they came, saved now and then; `path` is predictions.json.

    made_with: plain values that a record depends on. While inputs are left they stand in the file under
    `unfinished`; a later run with the same ones goes on from it.
    """

    def __init__(self, path: Path, made_with: Mapping[str, Any]) -> None:
        self._path, self._made_with = path, dict(made_with)
        self._earlier = self._read()
        self.records: list[dict[str, Any]] = []
        self.skipped: list[dict[str, str]] = []
        self.passed_over: list[str] = []
        self._names: Sequence[str] = ()
        self._saved_at = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether an earlier run with the same settings was cut off here."""
        return self._earlier is not None

    def begin(self, inputs: Sequence[Input], landmark_names: Sequence[str]) -> list[Input]:
        """The inputs that are still to be predicted. Raises WriteError where nothing can be written."""
        self._names = list(landmark_names)
        known = {record["path"]: record for record in self._earlier or () if record["kind"] not in ENDLESS}
        left = [source for source in inputs if source.shown not in known]
        self.records[:] = [known[source.shown] for source in inputs if source.shown in known]
        self._save(unfinished=True)
        if self.records:
            print(f"goes on after {len(self.records)} of {len(inputs)} inputs", flush=True)
        return left

    def add(self, record: dict[str, Any]) -> None:
        """Keep the record of an input."""
        self.records.append(record)
        if time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self._save(unfinished=True)

    def interrupted(self) -> None:
        """Save what there is, if the disk still takes it."""
        with contextlib.suppress(UserError):
            self._save(unfinished=True)

    def finish(self) -> None:
        """Save all."""
        self._save(unfinished=False)

    def _save(self, unfinished: bool) -> None:
        content = {"landmark_names": self._names, "inputs": self.records}
        content |= {"skipped": self.skipped, "passed_over": self.passed_over}
        write_json(self._path, content | ({"unfinished": self._made_with} if unfinished else {}))
        self._saved_at = time.monotonic()

    def _read(self) -> list[dict[str, Any]] | None:
        try:
            begun = as_record(_Begun, read_json(self._path), f"{self._path}")
            if begun.unfinished != self._made_with:
                return None
            for raw in begun.inputs:
                _require_whole(raw, f"{self._path}")
            return begun.inputs
        except (UserError, OSError):  # not of a run that was cut off
            return None


@dataclass(frozen=True)
class _Begun:
    inputs: list
    unfinished: dict


@dataclass(frozen=True)
class _Record:
    path: str
    kind: str
    height: int
    width: int
    frames: list | None = None


@dataclass(frozen=True)
class _Frame:
    ears: list


def _require_whole(raw: Any, where: str) -> None:
    """Raise UserError for a record that `coco_layout` and `summary` could not read."""
    record = as_record(_Record, raw, where)
    frames = [raw] if record.frames is None else record.frames
    for ear in (ear for frame in frames for ear in as_record(_Frame, frame, where).ears):
        as_record(EarRecord, ear, where)
    try:
        json.dumps(raw, allow_nan=False)
    except ValueError:
        raise UserError(f"{where}: holds numbers that are not finite.") from None
