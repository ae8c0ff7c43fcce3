"""A plain table of boxes: a row an ear, with the picture's name, two corners (or corner and sides), a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import UserError
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import csv_rows, single_file
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.records import Ear, Picture
from data.formats.rules.text import number, read_text
from data.manifest import Manifest

EXAMPLE = """filename,width,height,class,xmin,ymin,xmax,ymax
a.jpg,640,480,ear,100,80,160,170
wall.jpg,640,480,,,,,   (a picture without an ear)"""

_NAMES = {
    "picture": "filename file_name file image image_name image_path img path imagepath image_filename imageid image_id name",
    "label": "class label category class_name classname category_name labelname label_name",
    "x1": "xmin x_min x1 left xtl x0 bbox_xmin box_xmin", "y1": "ymin y_min y1 top ytl y0 bbox_ymin box_ymin",
    "x2": "xmax x_max x2 right xbr bbox_xmax box_xmax", "y2": "ymax y_max y2 bottom ybr bbox_ymax box_ymax",
    "x": "x bbox_x box_x", "y": "y bbox_y box_y",
    "w": "w width bbox_width bbox_w box_width box_w", "h": "h height bbox_height bbox_h box_height box_h",
}  # fmt: skip
_COLUMNS = {name: column for column, names in _NAMES.items() for name in names.split()}


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
    rows = csv_rows(read_text(file))
    if not rows:
        raise UserError(f"{file}: the table is empty.")
    names = [_COLUMNS.get(cell.strip().lower().lstrip("#").replace(" ", "_"), "") for cell in rows[0]]
    headed = {"picture"} < set(names)
    if headed:
        columns, corners = _columns(names, rows[0], file)
        read_rows = [_row(row, columns, f"{file} line {line}") for line, row in enumerate(rows[1:], start=2)]
    else:
        columns, corners = _columns_without_names(rows, file)
        read_rows = [_row(row, columns, f"{file} line {line}") for line, row in enumerate(rows, start=1)]
    boxed = [row for row in read_rows if row.numbers]
    if not headed or not corners:
        words = "left, top, right, bottom" if corners else "left, top, width, height"
        notes.lines.append(f"the four numbers are read as {words}")
        _require_one_reading(boxed, corners, file)
    fractions = bool(boxed) and all(0 <= value <= 1 for row in boxed for value in row.numbers)
    if fractions:
        notes.lines.append("all numbers lie in 0..1: fractions of the picture")
    pictures: dict[str, Picture] = {}
    for row in read_rows:
        size = None if fractions else row.size
        picture = pictures.setdefault(row.picture, Picture(row.picture, size=size, fractions=fractions))
        if row.fault or row.numbers:
            box = _box(row.numbers, corners) if row.numbers else None
            picture.ears.append(Ear(row.label, row.where, box, fault=row.fault))
    finder = ImageFinder(file.parent, options.image_root, path if path.is_dir() else None)
    return manifest_of(list(pictures.values()), file, options, notes, finder, "csv")


def _columns(names: Sequence[str], header: Sequence[str], file: Path) -> tuple[dict[str, int], bool]:
    """column -> place, and whether the box is two corners. Raises UserError naming the columns."""
    place = {name: number_ for number_, name in reversed(list(enumerate(names))) if name}
    if {"x1", "y1", "x2", "y2"} <= set(place):
        return place, True
    for corner in (("x", "y"), ("x1", "y1")):
        if {*corner, "w", "h"} <= set(place):
            box = {"x1": place[corner[0]], "y1": place[corner[1]], "x2": place["w"], "y2": place["h"]}
            return {"picture": place["picture"], **box} | (
                {"label": place["label"]} if "label" in place else {}
            ), False
    raise UserError(
        f"{file}: a table with the columns {', '.join(header)}; wanted are filename, class, xmin, ymin, xmax, ymax "
        "(or x, y, width, height)."
    )


def _columns_without_names(rows: list[list[str]], file: Path) -> tuple[dict[str, int], bool]:
    """picture, four numbers and perhaps a class, as keras-retinanet has them."""
    if not all(len(row) in (5, 6) and _are_numbers(row[1:5]) for row in rows if any(row[1:5])):
        raise UserError(
            f"{file}: a table with the columns {', '.join(rows[0])}; wanted are filename, class, xmin, ymin, xmax, "
            "ymax (or x, y, width, height)."
        )
    return {"picture": 0, "x1": 1, "y1": 2, "x2": 3, "y2": 4, "label": 5}, True


def _are_numbers(cells: Sequence[str]) -> bool:
    try:
        return all(number(cell) is not None for cell in cells)
    except ValueError:
        return False


def _row(row: list[str], columns: dict[str, int], where: str) -> _Row:
    def cell(name: str) -> str:
        place = columns.get(name, len(row))
        return row[place] if place < len(row) else ""

    values = [cell(name) for name in ("x1", "y1", "x2", "y2")]
    size = None
    if {"w", "h"} <= set(columns) and _are_numbers([cell("w"), cell("h")]):
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
            f"{inverted[0].where}: numbers without names may be left, top, right, bottom or left, top, width, "
            f"height; write a first line such as filename,xmin,ymin,xmax,ymax,class into {file.name}."
        )


def _box(numbers: Sequence[float], corners: bool) -> list[float]:
    x1, y1, x2, y2 = numbers
    return [x1, y1, x2, y2] if corners else [x1, y1, x1 + x2, y1 + y2]
