"""The images of a YOLO data set, and which side its `data.yaml` gives each: train, val or test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import UserError
from data.formats.rules.text import read_text
from data.images import SUFFIXES, find_images

SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Listing:
    """sides: image -> side, sorted by image, absolute. unlisted: images of the folder that no entry reaches.

    nowhere: entries, as "val: ../valid/images", at whose place nothing lies.
    """

    sides: dict[Path, str]
    unlisted: list[Path]
    nowhere: list[str]


def listed_images(description: dict[str, Any], file: Path) -> Listing:
    """The images of the entries train, val and test of the `data.yaml` called `file`: folders, text files of
    paths, or lists of those. An image of two entries belongs to the later: the test's, then val's.

    Raises UserError for an entry that leads nowhere while images lie in the folder that no entry reaches.
    """
    folder = file.parent
    root = folder / str(description.get("path") or "")
    if not root.is_dir():
        root = folder  # data sets are moved, and their `path` is not
    sides: dict[Path, str] = {}
    nowhere: list[str] = []
    for side in SIDES:
        entries = description.get(side) or []
        for entry in [entries] if isinstance(entries, str) else entries:
            place = _place(str(entry), root, folder)
            if place is None:
                nowhere.append(f"{side}: {entry}")
            else:
                sides |= dict.fromkeys(_images_at(place), side)
    unlisted = sorted({image.absolute() for image in find_images(folder)} - set(sides)) if sides else []
    if nowhere and (unlisted or not sides):
        raise UserError(_lead_nowhere(nowhere, unlisted or find_images(folder), file))
    return Listing(dict(sorted(sides.items())), unlisted, nowhere)


def _place(entry: str, root: Path, folder: Path) -> Path | None:
    # Some exports write ../train/images into a data.yaml that lies above train/.
    choices = (root / entry, folder / entry, folder / entry.replace("../", "", 1))
    return next((choice for choice in choices if choice.exists()), None)


def _images_at(place: Path) -> list[Path]:
    if place.is_dir():
        return [image.absolute() for image in find_images(place)]
    lines = [line.strip() for line in read_text(place).splitlines()]
    return [(place.parent / line).absolute() for line in lines if line.lower().endswith(SUFFIXES)]


def _lead_nowhere(nowhere: list[str], others: list[Path], file: Path) -> str:
    """What the entries say, and where the images lie that they may mean."""
    said = " and ".join(repr(entry) for entry in nowhere)
    folders = sorted(
        {image.parent.relative_to(file.parent.absolute()).as_posix() for image in map(Path.absolute, others)}
    )
    there = f"images lie in {', '.join(folders[:4])}" if folders else "no image lies below its folder"
    return f"{file}: {said} {'lead' if len(nowhere) > 1 else 'leads'} nowhere; {there}. Correct the file."
