"""How annotations are read: the options of all formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class ReadOptions:
    """How annotation files are read."""

    category: str = ""
    """Class to read, several with commas; empty: those named like an ear, left and right ones alike."""
    side: Literal["both", "left", "right"] = "both"
    """Read only the ears whose class says left, or right; to keep which is which, prepare each by itself."""
    image_root: Path | None = None
    """Folder that relative image paths start from; else beside the annotations. A data.yaml may lead there,
    which otherwise may name only what lies in the folder above its own.
    """
    box_format: Literal["xyxy", "xywh"] = "xyxy"
    """How an NPY manifest writes its boxes: two corners, or corner, width and height."""
    source_key: str = ""
    """Key of an ear's source, such as a person: in the NPY dict, a COCO image or annotation."""
