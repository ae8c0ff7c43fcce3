"""LabelMe: a `.json` a picture with shapes; coordinates run from the picture's corner.

A shape `point` bears the name of a point; those of one `group_id`, or in one box, are one ear's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import UserError
from configs.reading.content import read_json
from configs.reading.records import as_record
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import files_of, json_dialect
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.records import Ear, Picture, Point
from data.formats.rules.shapes import ellipse, extent
from data.formats.rules.text import number
from data.manifest import VISIBLE, Manifest

EXAMPLE = """{"imagePath": "a.jpg", "imageWidth": 640, "imageHeight": 480, "shapes": [
 {"label": "ear", "shape_type": "rectangle", "points": [[100, 80], [160, 170]], "group_id": 1},
 {"label": "otobasion superius", "shape_type": "point", "points": [[110.5, 90.5]], "group_id": 1}, ...]}"""


@dataclass(frozen=True)
class _Shape:
    points: list
    label: str = ""
    shape_type: str = ""
    group_id: str = ""


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """All `.json` below a folder, or one. A picture whose file holds no shape holds no ear."""
    pictures = []
    for file in files_of(path, (".json",)):
        try:
            content = read_json(file)
            if (dialect := json_dialect(content, file)) != "labelme":
                raise UserError(f"{file}: not LabelMe's but {dialect}.")
            pictures.append(_picture(content, file, notes))
        except UserError as error:
            notes.drop_file(file, error)
    folder = path if path.is_dir() else path.parent
    finder = ImageFinder(folder, options.image_root, path if path.is_dir() else None)
    return manifest_of(pictures, path, options, notes, finder, "labelme")


def _picture(content: dict[str, Any], file: Path, notes: Notes) -> Picture:
    """Raises UserError for shapes that are no list."""
    if not isinstance(content["shapes"], list):
        raise UserError(f"{file}: 'shapes' must be a list.")
    ears: list[Ear] = []
    loose: list[Point] = []
    for place, shape in enumerate(content["shapes"]):
        where = f"shapes[{place}] of {file}"
        label = _text(shape.get("label")) if isinstance(shape, dict) else ""
        try:
            read_shape = _shape(as_record(_Shape, shape, where), where, notes)
        except (ValueError, TypeError):
            read_shape = Ear(label, where, None, fault="shape whose points cannot be read")
        (loose if isinstance(read_shape, Point) else ears).append(read_shape)
    try:
        size = number(content.get("imageWidth")), number(content.get("imageHeight"))
    except ValueError:
        size = None
    return Picture(_text(content.get("imagePath")), ears, loose, size, stem=file.stem)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _shape(shape: _Shape, where: str, notes: Notes) -> Ear | Point:
    """Raises ValueError or TypeError for points that are none."""
    kind, label, group = shape.shape_type or "polygon", shape.label, shape.group_id
    corners = [(number(x), number(y)) for x, y in shape.points]
    if kind == "point":
        ((x, y),) = corners
        return Point(label, x - 0.5, y - 0.5, VISIBLE, where, group)
    if kind == "circle":  # its centre, and a place on its edge
        (x, y), (edge_x, edge_y) = corners
        radius = ((edge_x - x) ** 2 + (edge_y - y) ** 2) ** 0.5
        box = ellipse((x, y), (radius, radius))
    elif kind in ("rectangle", "polygon", "mask", "oriented_rectangle"):
        box = extent(corners)
    else:
        return Ear(label, where, None, group=group, fault=f"{kind}, which gives no box")
    if kind != "rectangle":
        notes.changes.add(f"{kind}, taken as the box round it", where)
    return Ear(label, where, box, group=group)
