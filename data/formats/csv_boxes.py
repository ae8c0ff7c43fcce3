"""A plain table of boxes: a row an ear with its picture, two corners (or corner and sides), and class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import UserError
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import single_file
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.records import Ear, Picture
from data.formats.rules.tables import are_numbers, box_columns, csv_rows
from data.formats.rules.text import number, read_text
from data.manifest import Manifest

EXAMPLE = """filename,width,height,class,xmin,ymin,xmax,ymax
a.jpg,640,480,ear,100,80,160,170
wall.jpg,640,480,,,,,   (a picture without an ear)"""


@dataclass(frozen=True)
class _Row:
    picture: str
    label: str
    numbers: list[float]  # as in the file; none: a picture without an ear
    size: tuple[float, float] | None
    where: str
    fault: str = ""


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """Boxes; a row whose box is empty is a picture without an ear. Numbers all up to 1 are fractions.

    Raises UserError for a table of other columns, naming them.
    """
    file = single_file(path, "csv")
    rows = csv_rows(read_text(file), file)
    table = box_columns(rows, file)
    first = int(table.named)
    read_rows = [
        _row(row, table.columns, f"{file} line {line}")
        for line, row in enumerate(rows[first:], start=first + 1)
    ]
    if table.unread:
        notes.lines.append(f"columns that are not read: {', '.join(table.unread)}")
    boxed = [row for row in read_rows if row.numbers]
    if not table.named or not table.corners:
        words = "left, top, right, bottom" if table.corners else "left, top, width, height"
        notes.lines.append(f"the four numbers are read as {words}")
        _require_one_reading(boxed, table.corners, file)
    fractions = bool(boxed) and all(0 <= value <= 1 for row in boxed for value in row.numbers)
    if fractions:
        notes.lines.append("all numbers lie in 0..1: fractions of the picture")
    pictures: dict[str, Picture] = {}
    for row in read_rows:
        size = None if fractions else row.size
        picture = pictures.setdefault(row.picture, Picture(row.picture, size=size, fractions=fractions))
        if row.fault or row.numbers:
            box = _box(row.numbers, table.corners) if row.numbers else None
            picture.ears.append(Ear(row.label, row.where, box, fault=row.fault))
    finder = ImageFinder(file.parent, options.image_root, path if path.is_dir() else None)
    return manifest_of(list(pictures.values()), file, options, notes, finder, "csv")


def _row(row: list[str], columns: dict[str, int], where: str) -> _Row:
    def cell(name: str) -> str:
        place = columns.get(name, len(row))
        return row[place] if place < len(row) else ""

    values = [cell(name) for name in ("x1", "y1", "x2", "y2")]
    size = None
    if {"w", "h"} <= set(columns) and are_numbers([cell("w"), cell("h")]):
        size = number(cell("w")), number(cell("h"))
    size = size if size and min(size) > 0 else None
    if not any(values):
        return _Row(cell("picture"), cell("label"), [], size, where)
    try:
        return _Row(cell("picture"), cell("label"), [number(value) for value in values], size, where)
    except ValueError:
        return _Row(cell("picture"), cell("label"), [], size, where, "row whose box is not four numbers")


def _require_one_reading(rows: Sequence[_Row], corners: bool, file: Path) -> None:
    """Raises UserError where two corners would be inverted, so that corner and sides may be meant."""
    inverted = [row for row in rows if row.numbers[2] <= row.numbers[0] or row.numbers[3] <= row.numbers[1]]
    if corners and len(inverted) * 10 > len(rows):
        raise UserError(
            f"{inverted[0].where}: numbers without names may be left, top, right, bottom or left, top, "
            f"width, height; write a first line such as filename,xmin,ymin,xmax,ymax,class into {file.name}."
        )


def _box(numbers: Sequence[float], corners: bool) -> list[float]:
    x1, y1, x2, y2 = numbers
    return [x1, y1, x2, y2] if corners else [x1, y1, x1 + x2, y1 + y2]
