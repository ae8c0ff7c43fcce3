"""The split that a data set has already: by entries of a `data.yaml`, by names of folders or of inputs."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from data.formats.yolo_sets.layout import read_layout
from data.preparation.parts import Part

_SIDE_OF_WORD = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}


def listed_sides(path: Path, image_root: Path | None) -> dict[str, str]:
    """Image -> side, of a YOLO data set whose `data.yaml` says so. Prints entries that lead nowhere.

    image_root: as of `ReadOptions`.
    """
    listing = read_layout(path, image_root).listing
    if listing is None:
        return {}
    for entry in listing.nowhere:
        print(f"{path}: nothing lies where '{entry}' leads; no image is left over that it could mean")
    return {str(image): side for image, side in listing.sides.items()}


def with_own_split(parts: Sequence[Part], paths: Sequence[Path]) -> list[Part]:
    """Each part with the sides that its data set gives its images; none where they are not a split.

    paths: the input of each part. Sides that `data.yaml` gave stay; else the name of a folder between the
    inputs' common folder and the image says it (train, val, valid, test, ...), or the name of one input of
    several. A split needs images to train on and others.
    """
    folders = [path if path.is_dir() else path.parent for path in map(Path.absolute, paths)]
    common = os.path.commonpath(folders) if folders else ""
    found = []
    for part, path in zip(parts, paths, strict=True):
        of_input = _side_of_name(path.stem) if len(paths) > 1 else ""
        sides = {
            image: part.own_sides.get(image) or _side_of_folders(image, common) or of_input
            for image in part.image_paths
        }
        found.append({image: side for image, side in sides.items() if side})
    given = {side for sides in found for side in sides.values()}
    is_split = "train" in given and len(given) > 1
    return [
        replace(part, own_sides=sides if is_split else {}) for part, sides in zip(parts, found, strict=True)
    ]


def print_own_split(parts: Sequence[Part], kept: bool) -> None:
    """One line where a data set has a split of its own: its images by side, and what becomes of it."""
    counts = Counter(side for part in parts for side in part.own_sides.values())
    if counts:
        sides = ", ".join(f"{side} {counts[side]:,}" for side in ("train", "val", "test"))
        fate = "is kept; --resplit splits it anew" if kept else "is not kept (--resplit)"
        print(f"the data set's own split ({sides} images) {fate}")


def _side_of_folders(image: str, common: str) -> str:
    """By the first folder below `common` that is named like a side."""
    path = PurePath(image)
    if not path.is_relative_to(common):
        return ""
    folders = path.relative_to(common).parts[:-1]
    return next((_SIDE_OF_WORD[name.lower()] for name in folders if name.lower() in _SIDE_OF_WORD), "")


def _side_of_name(stem: str) -> str:
    """By the only side among the words of a file's name: instances_train2017, val_teacher."""
    words = re.findall(r"[a-z]+", stem.lower())
    sides = {_SIDE_OF_WORD[word] for word in words if word in _SIDE_OF_WORD}
    return sides.pop() if len(sides) == 1 else ""
