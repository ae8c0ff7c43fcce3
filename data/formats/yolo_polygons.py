"""YOLO's segments and oriented boxes: the corners of a polygon behind the class; the box round it is read."""

from __future__ import annotations

from pathlib import Path

from data.formats.options import ReadOptions
from data.formats.rules.notes import Notes
from data.formats.yolo import read_labels
from data.manifest import Manifest

EXAMPLE = """data.yaml: names: {0: ear}
images/a.jpg
labels/a.txt: 0 0.1562 0.1667 0.2500 0.1667 0.2500 0.3542 0.1562 0.3542"""


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """The box round each polygon; lines of 4 numbers are boxes."""
    notes.lines.append("polygons are taken as the boxes round them")
    return read_labels(path, options, notes, "yolo-polygons")
