"""predictions.json of `students.predict`: what the students found, to be written out and corrected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import UserError
from configs.reading.content import read_json
from configs.reading.records import as_record
from data.crop_settings import CropSettings
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import json_dialect, single_file
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.records import Ear, Picture
from data.landmarks import Scheme, load_scheme
from data.manifest import VISIBLE, Manifest

EXAMPLE = """{"landmark_names": ["otobasion superius", ...], "skipped": [],
 "inputs": [{"path": "a.jpg", "kind": "image", "height": 480, "width": 640,
  "ears": [{"box_xyxy": [100, 80, 160, 170], "score": 0.93, "points_px": [[110.5, 90.5], ...]}]}]}"""


@dataclass(frozen=True)
class _File:
    landmark_names: list[str]
    inputs: list


@dataclass(frozen=True)
class _Input:
    path: str
    width: float
    height: float
    ears: list | None = None  # a video has frames


@dataclass(frozen=True)
class EarRecord:
    """What predictions.json says of an ear and others read; coordinates in pixels of the picture."""

    box_xyxy: tuple[float, float, float, float]
    score: float
    points_px: list[tuple[float, float]]


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """Boxes with their scores, and all points as visible. Frames of videos are no files and are left out."""
    file = single_file(path, "predictions")
    content = read_json(file)
    if json_dialect(content, file) != "predictions":
        raise UserError(f"{file}: not the predictions of students.predict.")
    whole = as_record(_File, content, f"{file}")
    names = tuple(whole.landmark_names)
    if len(set(names)) < len(names):
        raise UserError(f"{file}: landmark_names holds the same name twice.")
    pictures = []
    for place, raw in enumerate(whole.inputs):
        where = f"inputs[{place}] of {file}"
        try:
            record = as_record(_Input, raw, where)
        except UserError as error:
            notes.drop_record(where, error)
            continue
        if record.ears is None:
            notes.drops.add("video, whose frames are no files", record.path, wanted=True)
            continue
        ears = [_ear(ear, names, record.path) for ear in record.ears]
        pictures.append(Picture(str(Path(record.path).absolute()), ears, size=(record.width, record.height)))
    finder = ImageFinder(file.absolute().parent, options.image_root)
    manifest = manifest_of(pictures, file, options, notes, finder, "predictions")
    scheme = load_scheme()
    if names and names != scheme.names:
        scheme = Scheme(names, {}, list(range(len(names))))
    return replace(manifest, crops=CropSettings(scheme=scheme))


def _ear(raw: Any, names: tuple[str, ...], where: str) -> Ear:
    try:
        record = as_record(EarRecord, raw, where)
        if not 0 <= record.score <= 1:
            raise UserError(f"score = {record.score} is not a number from 0 to 1.")
    except UserError as error:
        fault = "ear that cannot be read: " + str(error).removeprefix(f"{where}: ")
        return Ear("", where, None, fault=fault)
    points = np.array(record.points_px, dtype=np.float64).reshape(-1, 2)
    triples = np.column_stack([points, np.full(len(points), VISIBLE)])
    return Ear(
        "", where, record.box_xyxy, triples if len(points) else None, names if len(points) else None,
        score=record.score,
    )  # fmt: skip
