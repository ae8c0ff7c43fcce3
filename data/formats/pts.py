"""`.pts`: a text file with one ear's points beside an image of the same name, as the iBUG sets have them.

Coordinates in the file count from 1 (as menpo reads and writes it). There is no box: it is the extent of the
points; and no visibility: a point is there, or `nan`, `-1 -1` or `0 0`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from configs.errors import UserError
from configs.files import whole_folder
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import ANNOTATION_SUFFIXES, files_of
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.records import Ear, Picture
from data.formats.rules.text import read_text, split_numbers
from data.formats.yolo import link_image
from data.manifest import NOT_ANNOTATED, VISIBLE, Manifest

EXAMPLE = """version: 1
n_points: 17
{ 110.5 90.5 ... }   (a point a line, counted from 1; a.pts beside a.jpg)"""

_COUNT = re.compile(r"n_points\s*:\s*(\d+)", re.IGNORECASE)
_NOT_THERE = ((-1.0, -1.0), (0.0, 0.0))  # how some tools write a point that nobody saw


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """All `.pts` below a folder, or one; broken ones are left out. UserError for differing numbers."""
    files = files_of(path, (".pts",))
    if not files:
        raise UserError(f"{path}: no .pts file in this folder.")
    images = _images_of(files, options.image_root)
    pictures = []
    for file in files:
        beside = images[file]
        try:
            if len(beside) > 1:
                raise UserError(f"{file}: several pictures have its name.")
            points = read_points(file, notes)
        except UserError as error:
            notes.drop_file(file, error)
            notes.spoilt_images |= {str(image) for image in beside}
            continue
        known = np.isfinite(points).all(axis=1)
        triples = np.column_stack([np.nan_to_num(points), np.where(known, VISIBLE, NOT_ANNOTATED)])
        image = beside[0] if beside else (options.image_root or file.absolute().parent) / f"{file.stem}.jpg"
        pictures.append(Picture(str(image), [Ear("", str(file), None, triples)]))
    return manifest_of(pictures, path, options, notes, ImageFinder(path.absolute().parent), "pts")


def read_points(file: Path, notes: Notes) -> np.ndarray:
    """(K, 2) px, pixel centres at integers from 0; NaN where not annotated.

    Read are also files without a header, with comments, with commas between or within numbers. Raises
    UserError for what is no such file, or holds another number of points than it says.
    """
    lines = [re.split(r"//|#", line, maxsplit=1)[0].strip() for line in read_text(file).splitlines()]
    text = "\n".join(lines)
    if not text.strip():
        raise UserError(f"{file}: the file is empty.")
    count = _COUNT.search(text)
    _, opened, body = text.partition("{")
    if not opened:
        if count or ":" in text:
            raise UserError(f"{file}: not a .pts file, which is 'version: 1  n_points: N  {{ x y ... }}'.")
        body = text
        notes.changes.add(".pts without a header, its coordinates taken to count from 1", str(file))
    body, closed, _ = body.partition("}")
    if opened and not closed:
        notes.changes.add(".pts without the closing brace", str(file))
    words = [word for line in body.splitlines() for word in split_numbers(line)]
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError as error:
        raise UserError(f"{file}: {error}.") from None
    if len(numbers) % 2 or not len(numbers) or (count and len(numbers) != 2 * int(count[1])):
        said = f"says n_points: {count[1]} but " if count else ""
        raise UserError(f"{file}: {said}holds {len(numbers)} numbers.")
    points = numbers.reshape(-1, 2)
    absent = [tuple(point) in _NOT_THERE for point in points.tolist()]
    if any(absent):
        notes.changes.add("point written as -1 -1 or 0 0, taken as not annotated", str(file), sum(absent))
    return np.where(np.array(absent)[:, None], np.nan, points - 1)


def write(path: Path, manifest: Manifest) -> Path:
    """A folder with a `.pts` and a link to its image for each ear. Boxes and visibility are lost."""
    if manifest.landmarks is None:
        raise UserError(f"{path}: .pts needs landmarks, the manifest has none.")
    with whole_folder(path) as new:
        digits = len(str(max(len(manifest) - 1, 0)))
        for row, image in enumerate(map(Path, map(str, manifest.image_paths))):
            name = f"{row:0{digits}d}_{image.stem}"
            link_image(image, new / f"{name}{image.suffix}")
            points = manifest.landmarks[row].astype(np.float64) + 1
            lines = "".join(f"{x:.4f} {y:.4f}\n" for x, y in points)
            text = f"version: 1\nn_points: {len(points)}\n{{\n{lines}}}\n"
            (new / f"{name}.pts").write_text(text, encoding="utf-8")
    return path


def _images_of(files: list[Path], image_root: Path | None) -> dict[Path, list[Path]]:
    """file -> what lies beside it under its name, other annotations left out."""
    beside: dict[Path, dict[str, list[Path]]] = {}
    for folder in {image_root or file.absolute().parent for file in files}:
        named = beside[folder] = {}
        for other in sorted(folder.iterdir()):
            if other.suffix.lower() not in ANNOTATION_SUFFIXES and other.is_file():
                named.setdefault(other.stem, []).append(other)
    return {file: beside[image_root or file.absolute().parent].get(file.stem, []) for file in files}
