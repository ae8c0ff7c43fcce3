"""DeepLabCut: `CollectedData_NAME.csv`, rows scorer, (individuals,) bodyparts, coords, then one a picture.

Points as they are written: pixel centres at integers. There is no box: it is the extent of the points.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from configs.errors import UserError
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import files_of
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.records import Ear, Picture
from data.formats.rules.tables import csv_dialect, csv_rows
from data.formats.rules.text import number, read_text
from data.manifest import NOT_ANNOTATED, VISIBLE, Manifest

EXAMPLE = """scorer,me,me,...
bodyparts,otobasion superius,otobasion superius,...
coords,x,y,...   then a row a picture: labeled-data/video/img001.png,110,90,..."""

_HEADER = ("scorer", "individuals", "bodyparts", "coords")


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """All such `.csv` below a folder, or one. A row without any point is a picture that nobody labelled."""
    pictures: list[Picture] = []
    for file in files_of(path, (".csv",)):
        try:
            text = read_text(file)
            if csv_dialect(text, file) != "deeplabcut":
                raise UserError(f"{file}: not DeepLabCut's.")
            pictures += _pictures(csv_rows(text, file), file, notes)
        except UserError as error:
            if path.is_file():
                raise
            notes.drop_file(file, error)
    folder = path if path.is_dir() else path.parent
    finder = ImageFinder(folder, options.image_root, path if path.is_dir() else None)
    return manifest_of(pictures, path, options, notes, finder, "deeplabcut")


def _pictures(rows: list[list[str]], file: Path, notes: Notes) -> list[Picture]:
    """Raises UserError for a header of another structure, and for predictions."""
    header = {row[0].lower(): row for row in rows[:4] if row[0].lower() in _HEADER}
    if not {"bodyparts", "coords"} <= set(header):
        raise UserError(f"{file}: DeepLabCut's rows 'bodyparts' and 'coords' are missing.")
    coords = [cell.lower() for cell in header["coords"]]
    if "likelihood" in coords:
        raise UserError(f"{file}: holds a likelihood, so these are predictions; give CollectedData_NAME.csv.")
    first = next((place for place, cell in enumerate(coords) if cell == "x"), len(coords))
    if coords[first:] != ["x", "y"] * ((len(coords) - first) // 2) or first == len(coords):
        raise UserError(f"{file}: the row 'coords' must be x, y, x, y, ...")
    columns = range(first, len(coords), 2)
    whose = header.get("individuals", [""] * len(coords))
    pictures = []
    for line, row in enumerate(rows[len(header) :], start=len(header) + 1):
        where = f"{file} line {line}"
        if len(row) != len(coords):
            notes.drops.add(f"row of {len(row)} cells, expected {len(coords)}", where)
            continue
        name = "/".join(cell for cell in row[:first] if cell)
        ears = []
        for individual in dict.fromkeys(whose[column] for column in columns):
            mine = [column for column in columns if whose[column] == individual]
            names = tuple(header["bodyparts"][column] for column in mine)
            label = "" if individual in ("", "single") else individual
            try:
                points = np.array([_point(row[column], row[column + 1]) for column in mine])
            except ValueError as error:
                ears.append(Ear(label, where, None, fault=f"cell that is no number ({error})"))
                continue
            if (points[:, 2] > NOT_ANNOTATED).any():
                ears.append(Ear(label, where, None, points, names))
        if ears:
            pictures.append(Picture(name, ears))
        else:
            notes.drops.add("row without any point, its picture is not used", where, wanted=True)
    return pictures


def _point(x: str, y: str) -> tuple[float, float, int]:
    """Empty and NaN cells are not annotated."""
    if not x or not y:
        return 0.0, 0.0, NOT_ANNOTATED
    place = number(x), number(y)
    return (*place, VISIBLE) if all(map(math.isfinite, place)) else (0.0, 0.0, NOT_ANNOTATED)
