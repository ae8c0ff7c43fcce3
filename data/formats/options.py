"""How annotations are read: options of all formats, which classes are ears, where images lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.errors import UserError

EAR_WORDS = ("ear", "pinna", "auricle")


@dataclass(frozen=True)
class ReadOptions:
    """How annotation files are read."""

    category: str = ""
    """Class to read from COCO and YOLO; empty: the only one, or those named like an ear."""
    image_root: Path | None = None
    """Folder that relative image paths start from; else beside the annotations."""
    box_format: Literal["xyxy", "xywh"] = "xyxy"
    """How an NPY manifest writes its boxes: two corners, or corner, width and height."""
    source_key: str = ""
    """Key of an ear's source, such as a person: in the NPY dict, a COCO image or annotation."""


def chosen_categories(names: dict[int, str], wanted: str, where: object) -> set[int]:
    """Identities of the classes to read: those called `wanted`, else the only one, else those named like an
    ear.

    Raises UserError when that leaves none.
    """
    if wanted:
        chosen = {key for key, name in names.items() if name == wanted}
    elif len(names) == 1:
        chosen = set(names)
    else:
        chosen = {
            key
            for key, name in names.items()
            if any(
                word.startswith(EAR_WORDS)
                for word in name.lower().replace("_", " ").replace("-", " ").split()
            )
        }
    if not chosen:
        raise UserError(
            f"{where}: no class {wanted or 'named ear'!r} among {sorted(names.values())}; see --category."
        )
    return chosen


def locate_image(name: str, near: Path, image_root: Path | None) -> Path:
    """The image a relative `name` means: below `image_root`, or near the annotations as data sets usually
    lie.

    When there is none, the path where it was first looked for (checking the images then reports it).
    """
    places = [image_root] if image_root else [near, near / "images", near.parent, near.parent / "images"]
    return next((place / name for place in places if (place / name).is_file()), places[0] / name)
