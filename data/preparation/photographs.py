"""Photographs without any annotation: a folder, a list of names, or a manifest whose boxes are not read."""

from __future__ import annotations

import os
from pathlib import Path

from configs.errors import UserError
from data.crop_settings import CropSettings
from data.formats.rules.text import read_text
from data.images import SUFFIXES, find_images
from data.manifest import read_manifest


def photographs_of(path: Path) -> tuple[list[str], CropSettings]:
    """The paths of all photographs, each once, and how ears are cut out of them.

    path: a folder; a .txt with one name a line, from its own folder on or from images/ there; a manifest.
    Raises UserError where there are none, and for a name in a list that is not there.
    """
    if path.is_dir():
        found = [str(image) for image in find_images(path)]
        if not found:
            raise UserError(f"{path}: no image in this folder; read are {' '.join(SUFFIXES)}.")
        return found, CropSettings()
    if path.suffix.lower() == ".txt":
        return _listed(path), CropSettings()
    manifest = read_manifest(path)
    paths = list(dict.fromkeys([*manifest.image_paths.tolist(), *manifest.empty_images.tolist()]))
    return paths, manifest.crops


def _listed(path: Path) -> list[str]:
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise UserError(f"{path}: names no photograph; one a line is wanted.")
    found = []
    for number, name in enumerate(names, start=1):
        places = [path.parent / name, path.parent / "images" / name]
        there = [place for place in places if os.path.isfile(place)]
        if not there:
            raise UserError(
                f"{path}: line {number}: {name[:300]} is neither in {path.parent} nor in images/ there."
            )
        found.append(str(there[0]))
    return list(dict.fromkeys(found))
