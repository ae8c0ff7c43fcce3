"""How YOLO data sets lie on the disk: `.../images/X.jpg` beside `.../labels/X.txt`, and a `data.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import UserError, shown
from configs.reading.content import parse_yaml
from data.formats.rules.text import read_text
from data.formats.yolo_sets.split import SIDES, Listing, listed_images
from data.images import find_images

MOST_POINTS = 10_000  # of an ear


@dataclass(frozen=True)
class Layout:
    """images: sorted, absolute. names: class number -> name. points: (K, numbers a point).

    listing: which entry of `data.yaml` each image is of; None where it has no entries.
    """

    images: list[Path]
    names: dict[int, str]
    points: tuple[int, int] | None
    listing: Listing | None
    point_names: tuple[str, ...] | None = None


def read_layout(path: Path, image_root: Path | None = None) -> Layout:
    """Of a folder or its `data.yaml`. image_root: as of `ReadOptions`. Raises UserError when there is no
    image, when the YAML makes no sense, and when it leads out of its data set.
    """
    if path.suffix.lower() == ".data":
        path = path.parent
    description_file = (
        path if path.is_file() else next((f for f in _description_files(path) if f.is_file()), None)
    )
    description: dict[str, Any] = {}
    if description_file is not None:
        description = parse_yaml(read_text(description_file), str(description_file)) or {}
        if not isinstance(description, dict):
            raise UserError(f"{description_file}: must be a mapping with train, val and names.")
    folder = path if path.is_dir() else path.parent
    has_sides = bool(set(SIDES) & set(description))
    listing = listed_images(description, description_file, image_root) if has_sides else None
    images = list(listing.sides) if listing is not None else find_images(folder)
    if not images:
        raise UserError(f"{path}: no image in this YOLO data set.")
    names = description.get("names") or _listed_names(folder)
    names = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(names, dict) or not all(_is_number(key) for key in names):
        raise UserError(f"{description_file}: names must be a list, or number: name, found {shown(names)}.")
    shape = description.get("kpt_shape")
    if shape is not None and not _is_point_shape(shape):
        raise UserError(f"{description_file}: kpt_shape must be [points, 2 or 3], found {shown(shape)}.")
    points = tuple(shape) if shape else None
    return Layout(
        [image.absolute() for image in images],
        {int(key): str(name) for key, name in names.items()},
        points,
        listing,
        _point_names(description.get("kpt_names"), points),
    )


def label_file(image: Path) -> Path:
    """The labels of an image: the last folder `images` of its path becomes `labels`; else beside it."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def is_layout(folder: Path) -> bool:
    """Whether a folder holds a YOLO data set: a data.yaml, a folder labels, or labels beside the images."""
    if any(file.is_file() for file in _description_files(folder)):
        return True
    if any(place.is_dir() and any(place.rglob("*.txt")) for place in folder.rglob("labels/")):
        return True
    return any(image.with_suffix(".txt").is_file() for image in find_images(folder)[:200])


def _is_number(key: Any) -> bool:
    return str(key).isascii() and str(key).isdigit() and len(str(key)) < 10


def _is_point_shape(shape: Any) -> bool:
    is_pair = isinstance(shape, list) and len(shape) == 2 and all(type(side) is int for side in shape)
    return is_pair and 0 < shape[0] <= MOST_POINTS and shape[1] in (2, 3)


def _description_files(folder: Path) -> list[Path]:
    return [folder / "data.yaml", folder / "data.yml", folder / "dataset.yaml"]


def _listed_names(folder: Path) -> list[str]:
    """A class a line, as CVAT (obj.names), Label Studio and LabelImg (classes.txt) write them beside labels.

    Raises UserError for two lists that differ.
    """
    found: dict[Path, list[str]] = {}
    for name in ("obj.names", "classes.txt", "predefined_classes.txt", "*.names"):
        for file in sorted(folder.rglob(name)):
            found[file] = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    if len({tuple(names) for names in found.values()}) > 1:
        raise UserError(f"{folder}: {', '.join(map(str, found))} list different classes; keep the right one.")
    return next(iter(found.values()), [])


def _point_names(listed: Any, points: tuple[int, int] | None) -> tuple[str, ...] | None:
    """Of the first class that has them, where they are as many as there are points."""
    names = next(iter(listed.values()), None) if isinstance(listed, dict) else listed
    fits = points is not None and isinstance(names, list) and len(names) == points[0]
    return tuple(map(str, names)) if fits else None
