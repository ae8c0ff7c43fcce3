"""COCO: one `.json` with images, annotations (`bbox`: x, y, width, height; maybe `keypoints`), categories."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import UserError
from configs.files import write_json
from configs.reading.content import read_json
from configs.reading.records import as_record
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import single_file
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.point_names import names_and_edges
from data.formats.rules.records import Ear, Picture
from data.formats.rules.text import number
from data.formats.rules.written_pictures import written_pictures
from data.manifest import VISIBLE, Manifest, sources_of

EXAMPLE = """{"images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}],
 "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [100, 80, 60, 90],
                  "keypoints": [110, 90, 2, ...]}],
 "categories": [{"id": 1, "name": "ear", "keypoints": ["otobasion superius", ...]}]}"""


@dataclass(frozen=True)
class _Image:
    id: int | str | float
    file_name: str
    width: Any = None
    height: Any = None


@dataclass(frozen=True)
class _Category:
    id: int | str | float
    name: str = ""
    keypoints: list[str] = field(default_factory=list)


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """Boxes and, where any annotation has them, key points. Images without an ear become empty images.

    Raises UserError for a file of another structure, and for key points of which no number is that of most.
    """
    file = single_file(path, "coco")
    content = read_json(file)
    if not isinstance(content, dict) or not {"images", "annotations"} <= set(content):
        raise UserError(
            f"{file}: not COCO, which is a mapping with 'images', 'annotations' and 'categories'."
        )
    pictures = _pictures(_listed(content, "images", file), notes, file, options.source_key)
    categories = _categories(content.get("categories"), notes, file)
    annotations = [
        annotation
        for annotation in _listed(content, "annotations", file)
        if _usable(annotation, pictures, notes, file)
    ]
    used = Counter(_key(annotation.get("category_id")) for annotation in annotations)
    if categories and (strange := [key for key in used if key not in categories]):
        notes.lines.append(f"categories that are not listed: {', '.join(strange)}")
    unnamed = [key for key in {*used, *categories} if key not in categories or not categories[key].name]
    single = len(unnamed) == 1 and len({*used, *categories}) == 1
    labels = {key: category.name for key, category in categories.items()}
    labels |= {key: "" if single else f"category {key}" for key in unnamed}
    for annotation in annotations:
        key = _key(annotation.get("category_id"))
        names = categories[key].keypoints if key in categories else []
        image = _key(annotation["image_id"])
        source = annotation.get(options.source_key, pictures[image].source) if options.source_key else ""
        if options.source_key and source in (None, ""):
            raise UserError(
                f"{file}: no {options.source_key!r} in annotation {annotation.get('id')} or its image."
            )
        pictures[image].ears.append(_ear(annotation, labels[key], names, str(source), file))
    finder = ImageFinder(file.absolute().parent, options.image_root, path if path.is_dir() else None)
    return manifest_of(list(pictures.values()), file, options, notes, finder, "coco", labels.values())


def write(path: Path, manifest: Manifest) -> Path:
    """One category `ear`; images below the file's folder are named relative to it."""
    images, number_of = [], {}
    for picture in written_pictures(manifest, path.absolute().parent):
        number_of[picture.path] = len(images) + 1
        size = {"width": picture.width, "height": picture.height}
        images.append({"id": len(images) + 1, "file_name": picture.name, **size})
    category: dict[str, Any] = {"id": 1, "name": "ear", "supercategory": "person"}
    if manifest.landmarks is not None:
        names, edges = names_and_edges(manifest)
        category |= {"keypoints": names, "skeleton": [[start + 1, end + 1] for start, end in edges]}
    annotations = [_annotation(manifest, row, number_of) for row in range(len(manifest))]
    return write_json(path, {"images": images, "annotations": annotations, "categories": [category]})


def _annotation(manifest: Manifest, row: int, number_of: dict[str, int]) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(edge) for edge in manifest.boxes_xyxy[row])
    annotation: dict[str, Any] = {
        "id": row + 1,
        "image_id": number_of[str(manifest.image_paths[row])],
        "category_id": 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "iscrowd": 0,
    }
    if manifest.scores is not None:
        annotation["score"] = round(float(manifest.scores[row]), 4)
    if manifest.sources is not None:
        annotation["source"] = str(sources_of(manifest)[row])
    if manifest.landmarks is not None:
        seen = manifest.visibility[row].astype(int)
        points = np.nan_to_num(manifest.landmarks[row]).astype(float)
        triples = [[x, y, int(v)] for (x, y), v in zip(points.tolist(), seen, strict=True)]
        annotation["keypoints"] = [number for triple in triples for number in triple]
        annotation["num_keypoints"] = int((seen > 0).sum())
    return annotation


def _listed(content: dict, name: str, file: Path) -> list[Any]:
    records = content[name]
    if not isinstance(records, list):
        raise UserError(f"{file}: '{name}' must be a list.")
    return records


def _key(value: Any) -> str:
    """An identity as text: some tools write the same one as a number and as text."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _pictures(records: list[Any], notes: Notes, file: Path, source_key: str = "") -> dict[str, Picture]:
    """Identity -> picture; an identity that two pictures have is nobody's."""
    pictures: dict[str, Picture] = {}
    twice = set()
    for place, record in enumerate(records):
        where = f"images[{place}] of {file}"
        try:
            image = as_record(_Image, record, where)
        except UserError as error:
            notes.drop_record(where, error)
            continue
        source = str(record.get(source_key, ""))
        key, picture = _key(image.id), Picture(image.file_name, size=_size(image), source=source)
        if key in pictures and pictures[key].name != picture.name:
            twice.add(key)
        pictures.setdefault(key, picture)
    for key in twice:
        notes.drops.add("two pictures of the same 'id'", f"id {key} of {file}")
        del pictures[key]
    return pictures


def _size(image: _Image) -> tuple[float, float] | None:
    try:
        width, height = number(image.width), number(image.height)
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _categories(records: Any, notes: Notes, file: Path) -> dict[str, _Category]:
    found = {}
    for place, record in enumerate(records if isinstance(records, list) else []):
        where = f"categories[{place}] of {file}"
        try:
            category = as_record(_Category, record, where)
            found[_key(category.id)] = category
        except UserError as error:
            notes.drop_record(where, error)
    return found


def _usable(annotation: Any, pictures: dict[str, Picture], notes: Notes, file: Path) -> bool:
    """Whether it says which picture it belongs to."""
    if not isinstance(annotation, dict) or "image_id" not in annotation:
        notes.drops.add("annotation without 'image_id'", f"{str(annotation)[:60]} in {file}")
    elif _key(annotation["image_id"]) not in pictures:
        notes.drops.add("annotation of an image not listed", f"annotation {annotation.get('id')} of {file}")
    else:
        return True
    return False


def _ear(annotation: dict[str, Any], label: str, names: list[str], source: str, file: Path) -> Ear:
    where = f"annotation {annotation.get('id')} of {file.name}"
    fault = "crowd annotation (several ears in one)" if annotation.get("iscrowd") else ""
    box, points = None, None
    try:
        points = _keypoints(annotation.get("keypoints"))
    except ValueError:
        fault = fault or "keypoints that are not x, y, v"
    try:
        box = _box(annotation)
    except ValueError:
        fault = fault or "bbox that is not x, y, width, height"
    named = None
    if points is not None and names:
        named = tuple(names)
        if len(named) != len(points):
            fault = fault or f"{len(points)} keypoints where the category names {len(named)}"
    return Ear(label, where, box, points, named, source=source, fault=fault)


def _box(annotation: dict[str, Any]) -> list[float] | None:
    """Edges; without a bbox those of the polygons, None without either."""
    values = annotation.get("bbox")
    if values is not None and not isinstance(values, list):
        raise ValueError("not a list")
    if values and any(value is not None for value in values):
        if len(values) != 4:
            raise ValueError("not four numbers")
        x, y, width, height = map(number, values)
        return [x, y, x + width, y + height]
    polygons = annotation.get("segmentation")
    if isinstance(polygons, list) and polygons and all(isinstance(polygon, list) for polygon in polygons):
        corners = np.array([number(value) for polygon in polygons for value in polygon])
        if len(corners) >= 6 and len(corners) % 2 == 0:
            return [
                *corners.reshape(-1, 2).min(axis=0).tolist(),
                *corners.reshape(-1, 2).max(axis=0).tolist(),
            ]
    return None


def _keypoints(values: Any) -> np.ndarray | None:
    """(K, 3); None without, or where none is annotated. [[x, y, v], ...] are the same numbers."""
    if not values:
        return None
    if not isinstance(values, list):
        raise ValueError("not a list")
    if all(isinstance(value, list) for value in values):
        values = [value for triple in values for value in triple]
    if len(values) % 3:
        raise ValueError("not triples")
    plain = np.array(values)
    if plain.dtype.kind not in "iuf":  # numbers as text, or something else
        plain = np.array([number(value) for value in values])
    triples = plain.astype(np.float64).reshape(-1, 3)
    if not set(triples[:, 2].tolist()) <= set(range(VISIBLE + 1)):
        raise ValueError("visibility other than 0, 1, 2")
    return triples
