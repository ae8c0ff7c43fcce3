"""YOLO-pose: YOLO with the points of each ear behind its box, as x, y (fractions) and visibility."""

from __future__ import annotations

from pathlib import Path

from data.formats.options import ReadOptions
from data.formats.rules.notes import Notes
from data.formats.yolo import read_labels, write_labels
from data.manifest import Manifest

EXAMPLE = """data.yaml: names: {0: ear}, kpt_shape: [17, 3]
images/a.jpg
labels/a.txt: 0 0.2031 0.2604 0.0938 0.1875 0.1727 0.1885 2 ..."""


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """Boxes and points; the number of points is `kpt_shape` of data.yaml, or that of most labels."""
    return read_labels(path, options, notes, "yolo-pose")


def write(path: Path, manifest: Manifest) -> Path:
    """The folder `path` with images/ (links to the images), labels/ and data.yaml."""
    return write_labels(path, manifest, with_points=True)
