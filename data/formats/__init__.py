"""Annotation formats in and out: `read_annotations` gives a Manifest from any of them, `write_annotations`
makes one.

A format is a module with `read(path, options, drops) -> Manifest` and, unless it can only be read,
`write(path, manifest)`.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

from configs.errors import UserError, did_you_mean
from data.formats.drops import Drops
from data.formats.options import ReadOptions
from data.manifest import Manifest

# name -> what it reads; the module of the same name (hyphens as underscores) does it
FORMATS = {
    "npy": "an .npy manifest: image_paths, bboxes, optional landmarks, visibility, sources",
    "coco": "a COCO .json with boxes, optional key points",
    "yolo": "a folder with images/ and labels/, or its data.yaml: boxes",
    "yolo-pose": "the same with key points",
    "pts": "a folder of images with a .pts file of points each",
    "crops": "a folder of images, each wholly one ear",
}


def read_annotations(
    path: str | os.PathLike,
    format_name: str = "auto",
    options: ReadOptions | None = None,
    drops: Drops | None = None,
) -> Manifest:
    """Every ear in a file or folder; impossible boxes and points come as they are (`data.preparation.checks`
    finds them).

    What cannot be a row is left out and counted in `drops`. Raises UserError for a missing path, for a
    unknown format, and for annotations that make no sense as a whole.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    name = detect_format(path) if format_name == "auto" else format_name
    return format_module(name).read(path, options or ReadOptions(), Drops() if drops is None else drops)


def write_annotations(path: str | os.PathLike, manifest: Manifest, format_name: str) -> Path:
    """Write a manifest in another format; returns the file or folder. UserError where that cannot hold it."""
    module = format_module(format_name)
    if not hasattr(module, "write"):
        raise UserError(f"{format_name}: can only be read.")
    return module.write(Path(path), manifest)


def format_module(name: str) -> ModuleType:
    """The module of a format. Raises UserError for an unknown name."""
    if name not in FORMATS:
        raise UserError(
            f"unknown format {name!r}, there are {', '.join(FORMATS)}.{did_you_mean(name, FORMATS)}"
        )
    return importlib.import_module(f"data.formats.{name.replace('-', '_')}")


def detect_format(path: Path) -> str:
    """The format of a file by its name, of a folder by its content. UserError where that does not help."""
    from data.formats import yolo_layout
    from data.images import find_images

    by_suffix = {".npy": "npy", ".json": "coco", ".yaml": "yolo", ".yml": "yolo", ".pts": "pts"}
    if path.is_file():
        if path.suffix.lower() not in by_suffix:
            raise UserError(
                f"{path}: a file of no known format; known are {', '.join(by_suffix)} and folders."
            )
        name = by_suffix[path.suffix.lower()]
    elif yolo_layout.is_layout(path):
        name = "yolo"
    elif any(path.rglob("*.pts")):
        name = "pts"
    elif jsons := sorted(path.glob("*.json")):
        listed = ", ".join(file.name for file in jsons[:5])
        raise UserError(
            f"{path}: holds {listed}; give the COCO file itself (several are allowed), or --format."
        )
    elif find_images(path):
        return "crops"
    else:
        raise UserError(f"{path}: neither annotations nor images in this folder.")
    return "yolo-pose" if name == "yolo" and yolo_layout.has_points(path) else name
