"""Inputs of any known format to parts whose points are those of the scheme."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from configs.errors import UserError
from data.crop_settings import CropSettings
from data.formats import detect_format, read_annotations
from data.formats.drops import Drops
from data.formats.options import ReadOptions
from data.formats.rules.annotation_files import unread_files
from data.formats.rules.notes import Notes
from data.formats.rules.point_names import in_scheme_order
from data.images import find_images
from data.landmarks import Scheme
from data.manifest import Manifest
from data.preparation.own_split import listed_sides
from data.preparation.parts import Part
from data.preparation.sides import source_of_path

# Where each of our points stands among the 55 of the iBUG ears (0-based), in the order of data.landmarks_17.
IBUG55 = (0, 2, 4, 6, 10, 13, 16, 19, 20, 25, 34, 35, 36, 39, 41, 45, 49)
_YOLO = ("yolo", "yolo-pose", "yolo-polygons")


def read_part(
    path: Path,
    side: str,
    format_name: str,
    options: ReadOptions,
    points: str,
    scheme: Scheme | None,
    drops: Drops,
    changes: Drops,
) -> Part:
    """One input, its points in the scheme's order.

    side: as in `Part`. format_name: one of `data.formats.FORMATS`, or "auto". points: "by-name", "as-is" or
    "ibug55". scheme: None for what the input says, else the project's. Prints what the input holds. Raises
    UserError for a missing path and for annotations that cannot be read.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    name = detect_format(path, options.image_root) if format_name == "auto" else format_name
    if name == "predictions" and format_name == "auto":
        raise UserError(
            f"{path}: holds predictions, not annotations. Let people correct them (`python -m data.convert`) "
            "or take them as they are with --format predictions."
        )
    notes = Notes()
    manifest = read_annotations(path, name, options, notes)
    if path.is_dir():
        _list_unused(path, name, manifest, notes)
    images = len(set(manifest.image_paths.tolist()))
    print(
        f"{path}: {name}, {len(manifest):,} ears in {images:,} images, "
        f"{len(manifest.empty_images):,} images without ears"
    )
    for line in notes.lines:
        print(f"  {line}")
    drops.merge(notes.drops)
    changes.merge(notes.changes)
    if points == "ibug55":
        manifest = ibug_points(manifest, path)
    elif points == "by-name":
        manifest = in_scheme_order(
            manifest, notes.point_names, scheme or manifest.crops.scheme, path, changes
        )
    return Part(
        side,
        manifest,
        whole_frames=name != "crops",
        spoilt_images=frozenset(notes.spoilt_images),
        own_sides=listed_sides(path, options.image_root) if name in _YOLO else {},
    )


def _list_unused(folder: Path, format_name: str, manifest: Manifest, notes: Notes) -> None:
    """What lies in the folder and is not read: other annotations, and images that no annotation is of."""
    for file in unread_files(folder, format_name):
        notes.drops.add("file that may hold annotations, not read", str(file), wanted=True)
    known = {*manifest.image_paths.tolist(), *manifest.empty_images.tolist(), *notes.spoilt_images}
    if format_name not in ("crops", *_YOLO):
        for image in find_images(folder.absolute()):
            if str(image) not in known:
                notes.drops.add("image that no annotation names, not used", str(image), wanted=True)


def ibug_points(manifest: Manifest, where: Path) -> Manifest:
    """The 17 points out of the 55 of the iBUG ears. Raises UserError for another number of points."""
    if manifest.landmarks is None:
        return manifest
    found = manifest.landmarks.shape[1]
    if found != 55:
        raise UserError(f"{where}: --points ibug55 needs 55 points an ear, found {found}.")
    chosen = list(IBUG55)
    return replace(
        manifest, landmarks=manifest.landmarks[:, chosen], visibility=manifest.visibility[:, chosen]
    )


def with_crop_settings(
    manifest: Manifest, margin: float | None, scheme: Scheme | None, where: Path
) -> Manifest:
    """With this margin and these points, where they are given, instead of what the manifest says.

    Raises UserError where its ears have points, but another number than the scheme's.
    """
    crops = manifest.crops
    crops = CropSettings(
        crops.margin if margin is None else margin, crops.scheme if scheme is None else scheme
    )
    found = crops.num_landmarks if manifest.landmarks is None else manifest.landmarks.shape[1]
    if found != crops.num_landmarks:
        raise UserError(
            f"{where}: has {found} points an ear, expected {crops.num_landmarks}. Other points than the "
            "project's are described by --scheme FILE, the 17 of the 55 iBUG points are taken by "
            "--points ibug55."
        )
    return replace(manifest, crops=crops)


def with_sources(manifest: Manifest, pattern: str) -> Manifest:
    """With what the regular expression finds in each path as the ear's source, where there are no others.

    An empty pattern changes nothing. Raises UserError for a broken one.
    """
    if not pattern or manifest.sources is not None:
        return manifest
    sources = [source_of_path(image, pattern) for image in manifest.image_paths.tolist()]
    return replace(manifest, sources=np.array(sources, dtype=str))
