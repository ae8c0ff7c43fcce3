"""Annotation formats in and out: `read_annotations` gives a Manifest from any of them, `write_annotations`
makes one.

A format is a module with `read(path, options, notes) -> Manifest`, an EXAMPLE of three lines and, unless it
can only be read, `write(path, manifest)`. What all readers have to do alike stands in `data.formats.rules`.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

import numpy as np

from configs.errors import UserError, did_you_mean
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import detect_format
from data.formats.rules.notes import Notes
from data.manifest import Manifest

# name -> what it reads; the module of the same name (hyphens as underscores) does it
FORMATS = {
    "npy": "an .npy manifest: image_paths, bboxes, optional landmarks, visibility, sources",
    "coco": "COCO .json: boxes, optional key points",
    "yolo": "a folder with images/ and labels/, or its data.yaml: boxes; obj.names and classes.txt too",
    "yolo-pose": "the same with key points",
    "yolo-polygons": "the same with polygons or oriented boxes: the boxes round them",
    "voc": "Pascal VOC .xml, a file a picture: boxes",
    "cvat": "CVAT for images .xml: boxes, points, skeletons",
    "labelme": "LabelMe .json, a file a picture: rectangles, polygons, points",
    "label-studio": "Label Studio .json: rectangles, key points, polygons",
    "via": "VGG Image Annotator .json (or .csv): rectangles, polygons, points",
    "deeplabcut": "DeepLabCut's CollectedData .csv: points",
    "csv": "a table of boxes: picture, class, xmin, ymin, xmax, ymax",
    "pts": "a folder of images with a .pts file of points each",
    "crops": "a folder of images, each wholly one ear",
    "predictions": "predictions.json of students.predict, to be corrected",
}


def read_annotations(
    path: str | os.PathLike,
    format_name: str = "auto",
    options: ReadOptions | None = None,
    notes: Notes | None = None,
) -> Manifest:
    """Every ear in a file or folder; impossible boxes and points come as they are (`data.preparation.checks`
    finds them).

    What cannot be a row, what was changed, and what the points are called goes into `notes`. Raises UserError
    for a missing path, for a unknown format, and for annotations that make no sense as a whole.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    options = options or ReadOptions()
    name = detect_format(path, options.image_root) if format_name == "auto" else format_name
    with np.errstate(all="ignore"):  # what comes of numbers too large for a sum is found by the checks
        return format_module(name).read(path, options, Notes() if notes is None else notes)


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
    return importlib.import_module(f"data.formats.{_MODULES.get(name, name.replace('-', '_'))}")


def listed_formats() -> str:
    """All formats with an example of each."""
    parts = []
    for name, about in FORMATS.items():
        example = format_module(name).EXAMPLE.strip().splitlines()
        parts.append("\n".join([f"{name}: {about}", *(f"    {line}" for line in example)]))
    return "\n\n".join(parts)


_MODULES = {"csv": "csv_boxes"}
