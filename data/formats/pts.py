"""`.pts`: a text file with one ear's points beside an image of the same name, as the iBUG sets have them.

Coordinates in the file count from 1 (as menpo reads and writes it). There is no box: it is the extent of the
points; and no visibility: a point is there, or `nan`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from configs.errors import UserError
from configs.files import full_disk_is_a_user_error
from data.formats.drops import Drops
from data.formats.options import ReadOptions
from data.formats.yolo import link_image
from data.images import SUFFIXES
from data.manifest import NOT_ANNOTATED, VISIBLE, Manifest

_LAYOUT = re.compile(r"\s*version:\s*\S+\s+n_points:\s*(\d+)\s*\{(.*)\}\s*", re.DOTALL)


def read(path: Path, options: ReadOptions, drops: Drops) -> Manifest:
    """All `.pts` below a folder, or one. UserError for a broken file or differing numbers of points."""
    files = [path] if path.is_file() else sorted(path.rglob("*.pts"))
    if not files:
        raise UserError(f"{path}: no .pts file in this folder.")
    points = [read_points(file) for file in files]
    counts = {len(found): file for file, found in zip(files, points, strict=True)}
    if len(counts) > 1:
        found = ", ".join(f"{count} in {file}" for count, file in counts.items())
        raise UserError(f"{path}: the files must agree in the number of points, found {found}.")
    landmarks = np.stack(points)
    known = np.isfinite(landmarks).all(axis=2)
    return Manifest(
        image_paths=np.array(
            [str(_image_of(file.absolute(), options.image_root)) for file in files], dtype=str
        ),
        boxes_xyxy=_extents(landmarks, known),
        landmarks=landmarks,
        visibility=np.where(known, VISIBLE, NOT_ANNOTATED),
    )


def read_points(file: Path) -> np.ndarray:
    """(K, 2) px, pixel centres at integers from 0; NaN where not annotated."""
    layout = _LAYOUT.fullmatch(file.read_text(encoding="utf-8", errors="replace"))
    if layout is None:
        raise UserError(f"{file}: not a .pts file, which is 'version: 1  n_points: N  {{ x y ... }}'.")
    words = layout[2].split()
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError as error:
        raise UserError(f"{file}: {error}.") from None
    if len(numbers) != 2 * int(layout[1]) or not len(numbers):
        raise UserError(f"{file}: says n_points: {layout[1]} but holds {len(numbers)} numbers.")
    return numbers.reshape(-1, 2) - 1


def write(path: Path, manifest: Manifest) -> Path:
    """A folder with a `.pts` and a link to its image for each ear. Boxes and visibility are lost."""
    if manifest.landmarks is None:
        raise UserError(f"{path}: .pts needs landmarks, the manifest has none.")
    with full_disk_is_a_user_error(path):
        path.mkdir(parents=True, exist_ok=True)
        digits = len(str(max(len(manifest) - 1, 0)))
        for row, image in enumerate(map(Path, map(str, manifest.image_paths))):
            name = f"{row:0{digits}d}_{image.stem}"
            link_image(image, path / f"{name}{image.suffix}")
            points = manifest.landmarks[row].astype(np.float64) + 1
            lines = "".join(f"{x:.4f} {y:.4f}\n" for x, y in points)
            text = f"version: 1\nn_points: {len(points)}\n{{\n{lines}}}\n"
            (path / f"{name}.pts").write_text(text, encoding="utf-8")
    return path


def _image_of(file: Path, image_root: Path | None) -> Path:
    folder = image_root or file.parent
    choices = [folder / (file.stem + suffix) for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES))]
    return next((choice for choice in choices if choice.is_file()), choices[0])


def _extents(landmarks: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(N, 4) boxes round the known points; NaN where there are none."""
    high = np.where(known[..., None], landmarks, -np.inf).max(axis=1)
    low = np.where(known[..., None], landmarks, np.inf).min(axis=1)
    boxes = np.concatenate([low, high], axis=1) + 0.5  # points to the scale of boxes, see data.crops
    return np.where(known.any(axis=1)[:, None], boxes, np.nan)
