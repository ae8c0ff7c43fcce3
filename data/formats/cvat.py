"""CVAT for images: one `.xml` with boxes, points and skeletons; coordinates run from the picture's corner.

Shapes of one `group_id` belong to one ear; without groups, points belong to the box that they lie in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from configs.errors import UserError
from configs.files import write_atomic
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import files_of, xml_dialect, xml_elements
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.point_names import names_and_edges
from data.formats.rules.records import Ear, Picture, Point
from data.formats.rules.shapes import ellipse, extent, turned_rectangle
from data.formats.rules.text import number
from data.formats.rules.written_pictures import written_pictures
from data.manifest import HIDDEN, NOT_ANNOTATED, VISIBLE, Manifest

EXAMPLE = """<annotations><image id="0" name="a.jpg" width="640" height="480">
<box label="ear" xtl="100" ytl="80" xbr="160" ybr="170"/>
<skeleton label="ear points"><points label="otobasion superius" points="110.5,90.5"/>...</skeleton></image>"""


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """Boxes, polygons, points and skeletons of one file, or of all below a folder. Raises UserError for the
    tracks of a video.
    """
    pictures = []
    for file in files_of(path, (".xml",)):
        try:
            if xml_dialect(file) != "cvat":
                raise UserError(f"{file}: not CVAT's.")
            tracks = 0
            for element in xml_elements(file, "image", "track"):
                if element.tag == "image":
                    pictures.append(_picture(element, notes))
                else:
                    tracks += 1
        except UserError as error:
            if path.is_file():
                raise
            notes.drop_file(file, error)
            continue
        if tracks:
            raise UserError(
                f"{file}: holds {tracks} tracks of a video; export it as 'CVAT for images', with the frames."
            )
    folder = path if path.is_dir() else path.parent
    finder = ImageFinder(folder, options.image_root, path if path.is_dir() else None)
    return manifest_of(pictures, path, options, notes, finder, "cvat")


def write(path: Path, manifest: Manifest) -> Path:
    """One .xml: a box `ear` and, where there are points, a skeleton `ear points` in the same group."""
    names = names_and_edges(manifest)[0] if manifest.landmarks is not None else []
    parts = ['<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n']
    for place, picture in enumerate(written_pictures(manifest, path.absolute().parent)):
        size = f'width="{picture.width}" height="{picture.height}"'
        parts.append(f'  <image id="{place}" name={quoteattr(picture.name)} {size}>\n')
        for row in picture.rows:
            parts.append(_written_ear(manifest, row, names))
        parts.append("  </image>\n")
    text = "".join([*parts, "</annotations>\n"])
    return write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _picture(element: Any, notes: Notes) -> Picture:
    name = element.get("name", "")
    ears: list[Ear] = []
    loose: list[Point] = []
    for place, shape in enumerate(element, start=1):
        if shape.tag == "tag":
            continue
        where = f"{shape.tag} {place} of {name}"
        try:
            read_shape = _shape(shape, where, notes)
        except (ValueError, TypeError):
            read_shape = Ear(
                shape.get("label", ""), where, None, fault=f"{shape.tag} whose numbers cannot be read"
            )
        (loose if isinstance(read_shape, Point) else ears).append(read_shape)
    try:
        size = number(element.get("width")), number(element.get("height"))
    except ValueError:
        size = None
    return Picture(name, ears, loose, size)


def _shape(shape: Any, where: str, notes: Notes) -> Ear | Point:
    """Raises ValueError for numbers that are none."""
    label, group = shape.get("label", ""), shape.get("group_id", "0").strip("0")
    if shape.tag == "skeleton":
        return _skeleton(shape, label, where, group)
    if shape.tag == "points":
        places = _places(shape.get("points"))
        seen = _seen(shape)
        if len(places) == 1:
            x, y = places[0]
            return Point(label, x - 0.5, y - 0.5, seen, where, group)
        triples = [[x - 0.5, y - 0.5, seen] for x, y in places]
        return Ear(label, where, None, np.array(triples), group=group)
    box = _box(shape)
    if box is None:
        return Ear(label, where, None, group=group, fault=f"{shape.tag}, which gives no box")
    if shape.tag != "box":
        notes.changes.add(f"{shape.tag}, taken as the box round it", where)
    return Ear(label, where, box, group=group)


def _box(shape: Any) -> list[float] | None:
    if shape.tag == "box":
        x1, y1, x2, y2 = (number(shape.get(edge)) for edge in ("xtl", "ytl", "xbr", "ybr"))
        if degrees := number(shape.get("rotation", "0")):
            return turned_rectangle((x1, y1), (x2 - x1, y2 - y1), degrees, ((x1 + x2) / 2, (y1 + y2) / 2))
        return [x1, y1, x2, y2]
    if shape.tag == "polygon":
        return extent(_places(shape.get("points")))
    if shape.tag == "ellipse":
        centre, radii = (
            (number(shape.get("cx")), number(shape.get("cy"))),
            (number(shape.get("rx")), number(shape.get("ry"))),
        )
        return ellipse(centre, radii, number(shape.get("rotation", "0")))
    if shape.tag == "mask":
        left, top, width, height = (number(shape.get(key)) for key in ("left", "top", "width", "height"))
        return [left, top, left + width, top + height]
    return None


def _skeleton(shape: Any, label: str, where: str, group: str) -> Ear:
    names, triples = [], []
    for point in shape.findall("points"):
        ((x, y),) = _places(point.get("points"))
        names.append(point.get("label", ""))
        triples.append([x - 0.5, y - 0.5, _seen(point)])
    fault = "" if len(set(names)) == len(names) and names else "skeleton without points, or two of one name"
    return Ear(label, where, None, np.array(triples).reshape(-1, 3), tuple(names), group=group, fault=fault)


def _seen(shape: Any) -> int:
    if shape.get("outside") == "1":
        return NOT_ANNOTATED
    return HIDDEN if shape.get("occluded") == "1" else VISIBLE


def _places(text: str | None) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in (text or "").split(";") if pair.strip()]
    places = [(number(x), number(y)) for x, y in pairs]
    if not places:
        raise ValueError("no points")
    return places


def _written_ear(manifest: Manifest, row: int, names: list[str]) -> str:
    edges = zip(("xtl", "ytl", "xbr", "ybr"), manifest.boxes_xyxy[row].tolist(), strict=True)
    group = f'source="manual" occluded="0" z_order="0" group_id="{row + 1}"'
    box = " ".join(f'{edge}="{value:.4f}"' for edge, value in edges)
    lines = [f'    <box label="ear" {group} {box}/>\n']
    if names and (manifest.visibility[row] > NOT_ANNOTATED).any():
        lines.append(f'    <skeleton label="ear points" {group}>\n')
        for name, (x, y), seen in zip(names, manifest.landmarks[row], manifest.visibility[row], strict=True):
            known = seen > NOT_ANNOTATED
            place = f"{x + 0.5:.4f},{y + 0.5:.4f}" if known else "0.0000,0.0000"
            lines.append(
                f'      <points label={quoteattr(name)} outside="{int(not known)}" '
                f'occluded="{int(seen == HIDDEN)}" points="{place}"/>\n'
            )
        lines.append("    </skeleton>\n")
    return "".join(lines)
