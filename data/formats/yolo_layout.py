"""How YOLO data sets lie on the disk: `.../images/X.jpg` beside `.../labels/X.txt`, and a `data.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from configs.errors import UserError
from data.formats.yolo_split import SIDES, Listing, listed_images
from data.images import find_images


@dataclass(frozen=True)
class Layout:
    """images, sorted, absolute; names, class number -> name; points, (K, numbers a point) or None.

    listing: which entry of `data.yaml` each image is of; None where it has no entries.
    """

    images: list[Path]
    names: dict[int, str]
    points: tuple[int, int] | None
    listing: Listing | None


def read_layout(path: Path) -> Layout:
    """Of a folder or its `data.yaml`. Raises UserError when there is no image, or the YAML makes no sense."""
    description_file = (
        path if path.is_file() else next((f for f in _description_files(path) if f.is_file()), None)
    )
    description: dict[str, Any] = {}
    if description_file is not None:
        try:
            description = yaml.safe_load(description_file.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{description_file}: not YAML ({error}).") from None
        if not isinstance(description, dict):
            raise UserError(f"{description_file}: must be a mapping with train, val and names.")
    folder = path if path.is_dir() else path.parent
    listing = listed_images(description, description_file) if set(SIDES) & set(description) else None
    images = list(listing.sides) if listing is not None else find_images(folder)
    if not images:
        raise UserError(f"{path}: no image in this YOLO data set.")
    names = description.get("names") or {}
    names = dict(enumerate(names)) if isinstance(names, list) else names
    shape = description.get("kpt_shape")
    if shape is not None and (not isinstance(shape, list) or len(shape) != 2 or shape[1] not in (2, 3)):
        raise UserError(f"{description_file}: kpt_shape must be [points, 2 or 3], found {shape!r}.")
    points = tuple(shape) if shape else None
    named = {int(key): str(name) for key, name in names.items()}
    return Layout([image.absolute() for image in images], named, points, listing)


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
    if any(file.is_file() for file in _description_files(folder)) or any(folder.rglob("labels/")):
        return True
    return any(image.with_suffix(".txt").is_file() for image in find_images(folder)[:200])


def has_points(path: Path) -> bool:
    """Whether data.yaml has a kpt_shape, or else the first label more than class and box."""
    layout = read_layout(path)
    if layout.points is not None:
        return True
    for image in layout.images:
        file = label_file(image)
        if file.is_file() and (
            text := file.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].split()
        ):
            return len(text) > 5
    return False


def _description_files(folder: Path) -> list[Path]:
    return [folder / "data.yaml", folder / "data.yml", folder / "dataset.yaml"]
