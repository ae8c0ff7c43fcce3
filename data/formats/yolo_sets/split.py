"""The images of a YOLO data set, and which side its `data.yaml` gives each: train, val or test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import UserError
from configs.reading.coercion import coerce
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


def listed_images(description: dict[str, Any], file: Path, image_root: Path | None = None) -> Listing:
    """The images of the entries train, val and test of the `data.yaml` called `file`: folders, text files of
    paths, or lists of those. An image of two entries belongs to the later: the test's, then val's.

    All of them lie below the folder above that of the file (exports write ../images), or below image_root: a
    stranger's file leads nowhere else. Raises UserError for an entry that does, for one that is no path, and
    for one that leads nowhere while images lie in the folder that no entry reaches.
    """
    folder = file.parent
    root = folder / coerce(description.get("path") or "", str, f"{file}", "path")
    if not os.path.isdir(root):
        root = folder  # data sets are moved, and their `path` is not
    roots = [root, folder] if image_root is None else [image_root, root, folder]
    tops = [_top(folder)] if image_root is None else [_top(folder), _plain(image_root)]
    sides: dict[Path, str] = {}
    nowhere: list[str] = []
    for side in SIDES:
        for entry in coerce(description.get(side) or (), tuple[str, ...], f"{file}", side):
            place = _place(entry, roots, folder)
            if place is None:
                nowhere.append(f"{side}: {entry}")
                continue
            _require_within(place, tops, f"{file}: '{side}: {entry}'")
            images = _images_at(place)
            for image in images if place.is_file() else ():
                _require_within(image, tops, f"{place}: '{image}'")
            sides |= dict.fromkeys(images, side)
    unlisted = sorted({image.absolute() for image in find_images(folder)} - set(sides)) if sides else []
    if nowhere and (unlisted or not sides):
        raise UserError(_lead_nowhere(nowhere, unlisted or find_images(folder), file))
    return Listing(dict(sorted(sides.items())), unlisted, nowhere)


def _place(entry: str, roots: Sequence[Path], folder: Path) -> Path | None:
    # Some exports write ../train/images into a data.yaml that lies above train/.
    choices = [*(root / entry for root in roots), folder / entry.replace("../", "", 1)]
    return next((choice for choice in choices if os.path.exists(choice)), None)


def _top(folder: Path) -> Path:
    """The folder above, unless that is the root of all."""
    above = _plain(folder / "..")
    return _plain(folder) if above.parent == above else above


def _plain(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _require_within(place: Path, tops: Sequence[Path], what: str) -> None:
    if not any(_plain(place).is_relative_to(top) for top in tops):
        raise UserError(
            f"{what} leads to {_plain(place)}, which is outside of {tops[0]}; a data.yaml may name what lies "
            "there. Move the data set together, or allow the other folder with --image-root FOLDER."
        )


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
