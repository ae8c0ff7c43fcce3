"""VGG Image Annotator: a project, or its annotations, as `.json` or `.csv`; whole pixels from the corner."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.errors import UserError, shown
from configs.reading.content import parse_json, read_json
from configs.reading.records import as_record
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import json_dialect, single_file
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.records import Ear, Picture, Point
from data.formats.rules.shapes import ellipse, extent
from data.formats.rules.tables import csv_rows
from data.formats.rules.text import number, read_text
from data.manifest import VISIBLE, Manifest

EXAMPLE = """{"a.jpg12345": {"filename": "a.jpg", "size": 12345, "file_attributes": {}, "regions": [
 {"shape_attributes": {"name": "rect", "x": 100, "y": 80, "width": 60, "height": 90},
  "region_attributes": {"class": "ear"}}]}}"""

_CLASS_KEYS = ("class", "label", "category", "type", "object", "name", "point", "landmark", "id")


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """Rectangles, polygons, circles, ellipses and points. The one attribute of the regions, or the one called
    class, label or the like, is the class of a shape and the name of a point. Raises UserError where several
    attributes may be it.
    """
    file = single_file(path, "via")
    records = _records_of_csv(file, notes) if file.suffix.lower() == ".csv" else _records_of_json(file, notes)
    key = _class_key(records, file)
    if key:
        notes.lines.append(f"class taken from the attribute {key!r}")
    pictures = []
    for name, regions in records:
        ears: list[Ear] = []
        loose: list[Point] = []
        for place, region in enumerate(regions):
            where = f"region {place} of {name}"
            try:
                shape = _shape(region.shape_attributes, _label(region, key), where, notes)
            except (ValueError, TypeError, KeyError):
                shape = Ear(_label(region, key), where, None, fault="region whose numbers cannot be read")
            (loose if isinstance(shape, Point) else ears).append(shape)
        pictures.append(Picture(name, ears, loose))
    finder = ImageFinder(file.parent, options.image_root, path if path.is_dir() else None)
    return manifest_of(pictures, file, options, notes, finder, "via")


@dataclass(frozen=True)
class _Entry:
    filename: str
    regions: list | dict = field(default_factory=list)  # VIA 1 numbers them


@dataclass(frozen=True)
class _Region:
    shape_attributes: dict = field(default_factory=dict)
    region_attributes: dict = field(default_factory=dict)


Records = list[tuple[str, list[_Region]]]  # file name, regions


def _records_of_json(file: Path, notes: Notes) -> Records:
    content = read_json(file)
    if json_dialect(content, file) != "via":
        raise UserError(f"{file}: not VIA's.")
    entries = content.get("_via_img_metadata", content)
    if not isinstance(entries, dict):
        raise UserError(f"{file}: _via_img_metadata is {shown(entries)}, a mapping is wanted.")
    records = []
    for key, raw in entries.items():
        where = f"{key[:80]} of {file}"
        try:
            entry = as_record(_Entry, raw, where)
        except UserError as error:
            notes.drop_record(where, error)
            continue
        listed = list(entry.regions.values()) if isinstance(entry.regions, dict) else entry.regions
        records.append((entry.filename, [_region(region, where) for region in listed]))
    return records


def _region(raw: Any, where: str) -> _Region:
    """One that is none becomes a region without a shape, a fault of its picture."""
    try:
        return as_record(_Region, raw, where)
    except UserError:
        return _Region()


def _records_of_csv(file: Path, notes: Notes) -> Records:
    header, *rows = csv_rows(read_text(file), file)
    names = [cell.lower().lstrip("#") for cell in header]
    regions_of: dict[str, list[_Region]] = {}
    for line, row in enumerate(rows, start=2):
        cells, where = dict(zip(names, row, strict=False)), f"{file} line {line}"
        try:
            shape, attributes = (
                parse_json((cells.get(name) or "{}").encode(errors="replace"), where)
                for name in ("region_shape_attributes", "region_attributes")
            )
            regions = regions_of.setdefault(cells["filename"], [])
            if shape:
                regions.append(_region({"shape_attributes": shape, "region_attributes": attributes}, where))
        except (KeyError, UserError):
            notes.drops.add("row that cannot be read", where)
    return list(regions_of.items())


def _class_key(records: Records, file: Path) -> str:
    """The attribute that says what a region is; "" where regions have none."""
    attributes = [region.region_attributes for _, regions in records for region in regions]
    keys = {key for given in attributes for key, value in given.items() if value not in ("", None, {})}
    likely = [key for key in keys if key.lower() in _CLASS_KEYS]
    if len(keys) <= 1:
        return next(iter(keys), "")
    if len(likely) == 1:
        return likely[0]
    by_rank = sorted(likely, key=lambda key: _CLASS_KEYS.index(key.lower()))
    if by_rank and by_rank[0].lower() in _CLASS_KEYS[:4]:
        return by_rank[0]
    raise UserError(
        f"{file}: regions have the attributes {', '.join(sorted(keys))[:300]}; call the one that says what a "
        "region is 'class' in VIA, so that it is no guess."
    )


def _label(region: _Region, key: str) -> str:
    value = region.region_attributes.get(key, "") if key else ""
    if isinstance(value, dict):  # a list of boxes to tick
        ticked = [name for name, on in value.items() if on]
        return ticked[0] if len(ticked) == 1 else ", ".join(ticked)
    return str(value).strip()


def _shape(shape: dict[str, Any], label: str, where: str, notes: Notes) -> Ear | Point:
    """Raises ValueError and the like for a shape of another structure."""
    kind = shape["name"]
    if not isinstance(kind, str):
        raise TypeError(f"{shown(kind)} is no shape")
    if kind == "point":
        return Point(label, number(shape["cx"]) - 0.5, number(shape["cy"]) - 0.5, VISIBLE, where)
    if kind == "rect":
        x, y, width, height = (number(shape[key]) for key in ("x", "y", "width", "height"))
        return Ear(label, where, [x, y, x + width, y + height])
    if kind == "polygon":
        places = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
        box = extent([(number(x), number(y)) for x, y in places])
    elif kind in ("circle", "ellipse"):
        radii = [number(shape[key]) for key in (("r", "r") if kind == "circle" else ("rx", "ry"))]
        centre = number(shape["cx"]), number(shape["cy"])
        box = ellipse(centre, (radii[0], radii[1]), 57.29577951308232 * number(shape.get("theta") or 0))
    else:
        return Ear(label, where, None, fault=f"{kind}, which gives no box")
    notes.changes.add(f"{kind}, taken as the box round it", where)
    return Ear(label, where, box)
