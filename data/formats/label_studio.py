"""Label Studio: one `.json` with a list of tasks; places in percent of the picture, from its corner.

Both its JSON and its JSON-MIN are read. Key points belong to the rectangle that they are nested in
(`parentID`), else to the one that they lie in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from configs.errors import UserError, shown
from configs.files import write_json
from configs.reading.content import read_json
from configs.reading.records import as_record
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import json_dialect, single_file
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.point_names import names_and_edges
from data.formats.rules.records import Ear, Picture, Point
from data.formats.rules.shapes import ellipse, extent, turned_rectangle
from data.formats.rules.text import number
from data.formats.rules.written_pictures import WrittenPicture, written_pictures
from data.manifest import HIDDEN, NOT_ANNOTATED, VISIBLE, Manifest

EXAMPLE = """[{"data": {"image": "/data/upload/1/1a2b3c4d-a.jpg"}, "annotations": [{"result": [
 {"type": "rectanglelabels", "original_width": 640, "original_height": 480,
  "value": {"x": 15.6, "y": 16.7, "width": 9.4, "height": 18.8, "rectanglelabels": ["ear"]}}, ...]}]}]"""


@dataclass(frozen=True)
class _Task:
    data: dict
    annotations: list | None = None
    completions: list | None = None  # as older versions call them


@dataclass(frozen=True)
class _Version:
    result: list


@dataclass(frozen=True)
class _Region:
    type: str = ""
    value: dict = field(default_factory=dict)
    id: str = ""
    parentID: str = ""
    original_width: Any = None
    original_height: Any = None
    image_rotation: Any = None
    score: Any = None
    meta: Any = ""


_KINDS = ("rectangle", "keypoint", "polygon", "ellipse", "brush")
_SAID_HIDDEN = "hidden"  # as a note of a key point, which has no visibility of its own


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """All tasks that somebody has annotated. Raises UserError for a file of another structure."""
    file = single_file(path, "label-studio")
    content = read_json(file)
    if json_dialect(content, file) != "label-studio":
        raise UserError(f"{file}: not Label Studio's.")
    pictures = []
    for place, task in enumerate(content if isinstance(content, list) else [content]):
        where = f"task {shown(task.get('id', place)) if isinstance(task, dict) else place} of {file}"
        try:
            pictures += _pictures(task, where, notes)
        except UserError as error:
            notes.drop_record(where, error)
    finder = ImageFinder(file.parent, options.image_root, path if path.is_dir() else None)
    return manifest_of(pictures, file, options, notes, finder, "label-studio")


def write(path: Path, manifest: Manifest) -> Path:
    """One .json to import: a rectangle `ear` an ear and its key points by name, as annotations to correct.

    Pictures are named as files below Label Studio's LOCAL_FILES_DOCUMENT_ROOT, which has to be the folder of
    the file, or / where pictures lie elsewhere.
    """
    names = names_and_edges(manifest)[0] if manifest.landmarks is not None else []
    tasks = []
    for picture in written_pictures(manifest, path.absolute().parent):
        result = [item for row in picture.rows for item in _written_ear(manifest, row, names, picture)]
        image = f"/data/local-files/?d={quote(picture.name.lstrip('/'))}"
        tasks.append({"id": len(tasks) + 1, "data": {"image": image}, "annotations": [{"result": result}]})
    return write_json(path, tasks)


def _pictures(task: Any, where: str, notes: Notes) -> Iterator[Picture]:
    """Raises UserError for a task of another structure."""
    if not isinstance(task, dict):
        raise UserError(f"{where}: {shown(task)} is no mapping")
    if "data" in task:
        whole = as_record(_Task, task, where)
        data, regions = whole.data, _regions(whole, where, notes)
    else:  # JSON-MIN: a task's regions without anything around them
        data, regions = task, _regions_of_min(task)
    if regions is None:
        return
    names = [value for key, value in data.items() if isinstance(value, str) and _is_picture(key, value)]
    if len(names) != 1:
        raise UserError(f"{where}: names {len(names) or 'no'} pictures")
    ears: list[Ear] = []
    loose: list[Point] = []
    sizes = set()
    nested = {region.parentID for region in regions if region.parentID}
    for region in regions:
        kind = region.type.removesuffix("labels")
        if kind not in _KINDS:
            continue
        shape = _region(region, kind, nested, where, notes)
        (loose if isinstance(shape, Point) else ears).append(shape)
        try:
            sizes.add((number(region.original_width), number(region.original_height)))
        except ValueError:
            continue
    if len(sizes) > 1:
        raise UserError(f"{where}: its regions are of pictures of several sizes")
    yield Picture(names[0], ears, loose, sizes.pop() if sizes else None)


def _is_picture(key: str, value: str) -> bool:
    ending = value.split("?", 1)[0] if "?d=" not in value else value
    return key.lower() in ("image", "img", "photo", "picture") or ending.lower().endswith(
        (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".jfif", ".avif")
    )


def _regions_of_min(task: dict[str, Any]) -> list[_Region]:
    found = []
    for value in task.values():
        for item in value if isinstance(value, list) else []:
            kind = next((kind for kind in _KINDS if isinstance(item, dict) and f"{kind}labels" in item), "")
            if kind:
                found.append(_read_region({**item, "type": f"{kind}labels", "value": item}, kind))
    return found


def _regions(task: _Task, where: str, notes: Notes) -> list[_Region] | None:
    """What one annotator drew in a task; None where nobody did."""
    versions = task.completions if task.annotations is None else task.annotations
    done = [
        version
        for version in versions or []
        if isinstance(version, dict) and not version.get("was_cancelled")
    ]
    if not done:
        notes.drops.add("task that nobody has annotated, not used", where, wanted=True)
        return None
    done.sort(key=lambda version: not version.get("ground_truth"))
    if len(done) > 1:
        notes.drops.add(
            "another annotation of the same task, the first one is used", where, len(done) - 1, wanted=True
        )
    result = as_record(_Version, done[0], where).result
    kinds = (_text(raw.get("type")).removesuffix("labels") if isinstance(raw, dict) else "" for raw in result)
    return [_read_region(raw, kind) for raw, kind in zip(result, kinds, strict=True)]


def _read_region(raw: Any, kind: str) -> _Region:
    """One that is no region of its kind becomes one without a value, a fault of its picture."""
    try:
        return as_record(_Region, raw, "region")
    except UserError:
        return _Region(type=f"{kind}labels")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _region(region: _Region, kind: str, nested: set[str], where: str, notes: Notes) -> Ear | Point:
    value = region.value
    labels = value.get(f"{kind}labels") or value.get("labels") or [""]
    label = str(labels[0]) if isinstance(labels, list) else str(labels)
    group = region.parentID or (region.id if region.id in nested else "")
    try:
        width, height = number(region.original_width), number(region.original_height)
        if number(region.image_rotation or 0):
            return Ear(
                label, where, None, group=group, fault="region of a picture that was turned in the tool"
            )
        if kind == "keypoint":
            x, y = number(value["x"]) * width / 100 - 0.5, number(value["y"]) * height / 100 - 0.5
            seen = HIDDEN if _SAID_HIDDEN in str(region.meta) else VISIBLE
            return Point(label, x, y, seen, where, group)
        box = _box(value, kind, width, height)
    except (ValueError, TypeError, KeyError):
        return Ear(label, where, None, group=group, fault=f"{kind} whose numbers cannot be read")
    if box is None:
        return Ear(label, where, None, group=group, fault=f"{kind}, which gives no box")
    if kind != "rectangle" or value.get("rotation"):
        notes.changes.add(f"{'turned ' * (kind == 'rectangle')}{kind}, taken as the box round it", where)
    score = region.score if isinstance(region.score, float) and 0 <= region.score <= 1 else None
    return Ear(label, where, box, group=group, score=score)


def _box(value: dict[str, Any], kind: str, width: float, height: float) -> list[float] | None:
    """Edges in px. Raises ValueError and the like for numbers that are none."""
    if kind == "polygon":
        return extent([(number(x) * width / 100, number(y) * height / 100) for x, y in value["points"]])
    if kind not in ("rectangle", "ellipse"):
        return None
    x, y = number(value["x"]) * width / 100, number(value["y"]) * height / 100
    degrees = number(value.get("rotation") or 0)
    if kind == "ellipse":
        radii = number(value["radiusX"]) * width / 100, number(value["radiusY"]) * height / 100
        return ellipse((x, y), radii, degrees)
    sides = number(value["width"]) * width / 100, number(value["height"]) * height / 100
    return turned_rectangle((x, y), sides, degrees, (x, y)) if degrees else [x, y, x + sides[0], y + sides[1]]


def _written_ear(
    manifest: Manifest, row: int, names: list[str], picture: WrittenPicture
) -> Iterator[dict[str, Any]]:
    size = {"original_width": picture.width, "original_height": picture.height, "image_rotation": 0}
    about = {"to_name": "image", **size}
    x1, y1, x2, y2 = (float(edge) for edge in manifest.boxes_xyxy[row])
    box = {
        "x": 100 * x1 / picture.width, "y": 100 * y1 / picture.height,
        "width": 100 * (x2 - x1) / picture.width, "height": 100 * (y2 - y1) / picture.height,
    }  # fmt: skip
    value = {**box, "rotation": 0, "rectanglelabels": ["ear"]}
    yield {"id": f"ear{row}", "type": "rectanglelabels", "from_name": "box", **about, "value": value}
    if not names:
        return
    triples = zip(names, manifest.landmarks[row].tolist(), manifest.visibility[row].tolist(), strict=True)
    for place, (name, (x, y), seen) in enumerate(triples):
        if seen == NOT_ANNOTATED:
            continue
        at = {"x": 100 * (x + 0.5) / picture.width, "y": 100 * (y + 0.5) / picture.height, "width": 0.5}
        point = {"id": f"ear{row}point{place}", "type": "keypointlabels", "from_name": "points", **about}
        point |= {"parentID": f"ear{row}", "value": {**at, "keypointlabels": [name]}}
        yield point | ({"meta": {"text": [_SAID_HIDDEN]}} if seen == HIDDEN else {})
