"""What a user may hand to students.predict: images, folders, videos, cameras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.errors import UserError
from data.images import SUFFIXES, find_images

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
CAMERA_PREFIX = "camera:"


@dataclass(frozen=True)
class Input:
    """One image, video or camera, and the name of its results below the output folder (unique, no suffix)."""

    kind: Literal["image", "video", "camera"]
    where: str
    name: str


def find_inputs(words: Sequence[str], output_dir: Path) -> list[Input]:
    """Expand what the user gave; folders give their images, except those below `output_dir`.

    Nothing is opened yet, so a missing file shows up later, as one input that fails. Raises UserError when
    there is nothing at all, for an empty folder and for a camera without a number.
    """
    if not words:
        raise UserError(f"No input given: name images, folders, videos or {CAMERA_PREFIX}0.")
    found: dict[str, Input] = {}
    for word in words:
        for kind, where, name in _expand(word, output_dir):
            unique, copies = name, 1
            while unique.lower() in found:  # file systems that ignore case would put both into one file
                copies += 1
                unique = f"{name}-{copies}"
            found[unique.lower()] = Input(kind, where, unique)
    return list(found.values())


def _expand(word: str, output_dir: Path) -> Iterator[tuple[str, str, str]]:
    path = Path(word)
    if word.startswith(CAMERA_PREFIX):
        number = word.removeprefix(CAMERA_PREFIX)
        if not number.isdecimal():
            raise UserError(f"{word}: a camera is given by its number, {CAMERA_PREFIX}0 is the first.")
        yield "camera", number, f"camera_{number}"
    elif path.is_dir():
        ours = output_dir.absolute()
        images = [image for image in find_images(path) if not image.absolute().is_relative_to(ours)]
        if not images:
            raise UserError(f"{path}: no image in this folder; read are {' '.join(SUFFIXES)}.")
        for image in images:
            yield "image", str(image), image.relative_to(path).with_suffix("").as_posix()
    else:
        yield ("video" if path.suffix.lower() in VIDEO_SUFFIXES else "image"), word, path.stem
