"""What the readers of all formats are told, and what they tell back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from configs.errors import UserError
from data.preparation.drops import Drops

EAR_WORDS = ("ear", "pinna", "auricle")


@dataclass
class ReadOptions:
    """Options of `data.formats.read_annotations`."""

    image_root: Path | None = None
    """Folder that relative image paths start from; None: beside the annotations."""
    source_key: str = ""
    """Key that holds an ear's source (photograph or person): in the NPY dict, a COCO image or annotation."""
    category: str = ""
    """Name of the class to read; empty: the only one, or those named like an ear."""
    xywh: bool = False
    """NPY boxes are x, y, width, height rather than two corners."""
    drops: Drops = field(default_factory=Drops)
    """Receives what was left out."""


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
