"""predictions.json of `students.predict`: what the students found, to be written out and corrected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import UserError
from data.crop_settings import CropSettings
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import json_dialect, single_file
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.records import Ear, Picture
from data.formats.rules.text import read_any_json
from data.landmarks import Scheme, load_scheme
from data.manifest import VISIBLE, Manifest

EXAMPLE = """{"landmark_names": ["otobasion superius", ...], "skipped": [],
 "inputs": [{"path": "a.jpg", "kind": "image", "height": 480, "width": 640,
  "ears": [{"box_xyxy": [100, 80, 160, 170], "score": 0.93, "points_px": [[110.5, 90.5], ...]}]}]}"""


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """Boxes with their scores, and all points as visible. Frames of videos are no files and are left out."""
    file = single_file(path, "predictions")
    content = read_any_json(file)
    if json_dialect(content, file) != "predictions":
        raise UserError(f"{file}: not the predictions of students.predict.")
    names = tuple(map(str, content["landmark_names"]))
    pictures = []
    for record in content["inputs"]:
        try:
            if "ears" not in record:
                notes.drops.add("video, whose frames are no files", str(record["path"]), wanted=True)
                continue
            size = float(record["width"]), float(record["height"])
            ears = [_ear(ear, names, str(record["path"])) for ear in record["ears"]]
            pictures.append(Picture(str(Path(record["path"]).absolute()), ears, size=size))
        except (KeyError, TypeError, ValueError) as error:
            notes.drops.add("input that cannot be read", f"{str(record)[:60]} ({error})")
    finder = ImageFinder(file.absolute().parent, options.image_root)
    manifest = manifest_of(pictures, file, options, notes, finder, "predictions")
    scheme = load_scheme()
    if names and names != scheme.names:
        scheme = Scheme(names, {}, list(range(len(names))))
    return replace(manifest, crops=CropSettings(scheme=scheme))


def _ear(record: dict[str, Any], names: tuple[str, ...], where: str) -> Ear:
    """Raises KeyError and the like for a record of another structure."""
    points = np.array(record["points_px"], dtype=np.float64).reshape(-1, 2)
    triples = np.column_stack([points, np.full(len(points), VISIBLE)])
    return Ear(
        "", where, [float(edge) for edge in record["box_xyxy"]], triples if len(points) else None,
        names if len(points) else None, score=float(record["score"]),
    )  # fmt: skip
