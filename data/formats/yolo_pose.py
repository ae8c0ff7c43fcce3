"""YOLO-pose: YOLO with the points of each ear behind its box, as x, y (fractions) and visibility."""

from __future__ import annotations

from pathlib import Path

from data.formats import yolo
from data.formats.drops import Drops
from data.formats.options import ReadOptions
from data.manifest import Manifest


def read(path: Path, options: ReadOptions, drops: Drops) -> Manifest:
    """Boxes and points; the number of points is `kpt_shape` of data.yaml, or that of the first label."""
    return yolo.read_labels(path, options, drops, with_points=True)


def write(path: Path, manifest: Manifest) -> Path:
    """The folder `path` with images/ (links to the images), labels/ and data.yaml."""
    return yolo.write_labels(path, manifest, with_points=True)
