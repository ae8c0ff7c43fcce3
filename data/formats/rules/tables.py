"""Tables of text: whose they are, what lies between their cells, and what columns of boxes are called."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from configs.errors import UserError
from data.formats.rules.text import number

_NAMES = {
    "picture": "filename file_name file image image_name image_path img path imagepath image_filename "
    "imageid image_id",
    "label": "class label category class_name classname category_name labelname label_name",
    "x1": "xmin x_min x1 left xtl x0 bbox_xmin box_xmin", "y1": "ymin y_min y1 top ytl y0 bbox_ymin box_ymin",
    "x2": "xmax x_max x2 right xbr bbox_xmax box_xmax", "y2": "ymax y_max y2 bottom ybr bbox_ymax box_ymax",
    "x": "x bbox_x box_x", "y": "y bbox_y box_y",
    "w": "w width bbox_width bbox_w box_width box_w", "h": "h height bbox_height bbox_h box_height box_h",
}  # fmt: skip
_COLUMNS = {name: column for column, names in _NAMES.items() for name in names.split()}


@dataclass(frozen=True)
class BoxColumns:
    """columns: what they hold -> place; corners: two corners, else a corner and sides; named: the first row
    says what they are; unread: what it calls the others.
    """

    columns: dict[str, int]
    corners: bool
    named: bool
    unread: tuple[str, ...] = ()


def csv_dialect(text: str, file: Path) -> str:
    """ "deeplabcut", "via", or "csv" for a plain table of boxes. Raises UserError for another table."""
    first = text.split("\n", 1)[0].lower()
    if first.startswith("scorer"):
        return "deeplabcut"
    if "region_shape_attributes" in first:
        return "via"
    box_columns(csv_rows(text, file), file)
    return "csv"


def csv_rows(text: str, file: Path) -> list[list[str]]:
    """The rows of a table; between cells is a comma, semicolon, tab or bar, as its first row has it.

    Raises UserError for a cell without end.
    """
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        return [[cell.strip() for cell in row] for row in reader if row]
    except csv.Error as error:
        raise UserError(f"{file} line {reader.line_num}: not a table that can be read ({error}).") from None


def box_columns(rows: Sequence[Sequence[str]], file: Path) -> BoxColumns:
    """Where a table says which box lies in which picture. Raises UserError naming its columns."""
    if not rows:
        raise UserError(f"{file}: the table is empty.")
    names = [_COLUMNS.get(cell.lower().lstrip("#").replace(" ", "_"), "") for cell in rows[0]]
    if "picture" in names or "label" in names:  # `name` is what is missing of the two
        missing = "label" if "picture" in names else "picture"
        names = [
            missing if cell.lower() == "name" else name for cell, name in zip(rows[0], names, strict=True)
        ]
    found = _named_columns(names) if "picture" in names else _columns_without_names(rows)
    if found is None:
        raise UserError(
            f"{file}: a table with the columns {', '.join(rows[0])[:300]}; wanted are filename, class, xmin, "
            "ymin, xmax, ymax (or x, y, width, height)."
        )
    unread = [cell for place, cell in enumerate(rows[0]) if place not in found.columns.values()]
    return replace(found, unread=tuple(unread)) if found.named else found


def are_numbers(cells: Sequence[str]) -> bool:
    """Whether every cell is a number."""
    try:
        return all(number(cell) is not None for cell in cells)
    except ValueError:
        return False


def _named_columns(names: Sequence[str]) -> BoxColumns | None:
    place = {name: column for column, name in reversed(list(enumerate(names))) if name}
    if {"x1", "y1", "x2", "y2"} <= set(place):
        return BoxColumns(place, True, True)
    for corner in (("x", "y"), ("x1", "y1")):
        if {*corner, "w", "h"} <= set(place):
            box = {"x1": place[corner[0]], "y1": place[corner[1]], "x2": place["w"], "y2": place["h"]}
            kept = {name: place[name] for name in ("picture", "label") if name in place}
            return BoxColumns(kept | box, False, True)
    return None


def _columns_without_names(rows: Sequence[Sequence[str]]) -> BoxColumns | None:
    """picture, four numbers and perhaps a class, as keras-retinanet has them."""
    full = [row for row in rows if any(row[1:5])]
    if not full or not all(len(row) in (5, 6) and are_numbers(row[1:5]) for row in full):
        return None
    return BoxColumns({"picture": 0, "x1": 1, "y1": 2, "x2": 3, "y2": 4, "label": 5}, True, False)
