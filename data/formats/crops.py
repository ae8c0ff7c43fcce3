"""A bare folder of crops: each image is one ear, from edge to edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from configs.errors import UserError
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import ANNOTATION_SUFFIXES, is_text_about
from data.formats.rules.notes import Notes
from data.image_kinds.formats import kind_of_file
from data.images import files_below, find_images, image_size
from data.manifest import Manifest

EXAMPLE = """ears/anna.jpg
ears/bert.png
ears/more/carl.jpg"""


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """The whole image is the box. Raises UserError when there is no image."""
    images = [path] if path.is_file() else find_images(path)
    if not images:
        raise UserError(f"{path}: no image in this folder.")
    for file in files_below(path) if path.is_dir() else ():
        is_text = file.suffix.lower() in ANNOTATION_SUFFIXES or is_text_about(file)
        if not is_text and kind_of_file(file) != "image":
            notes.drops.add("file that is no image, passed over", str(file), wanted=True)
    rows = []
    for image in images:
        try:
            height, width = image_size(image)
        except UserError as error:
            notes.drops.add_image(str(image), error)
        else:
            rows.append((str(image.absolute()), (0, 0, width, height)))
    return Manifest(
        np.array([image for image, _ in rows], dtype=str), np.array([box for _, box in rows]).reshape(-1, 4)
    )
