"""The project's own manifests, also those written by hand (`data.manifest` describes the keys)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from configs.errors import UserError
from data.formats.options import ReadOptions
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.manifest import Manifest, read_manifest, write_manifest
from data.safe_pickle import load_object

EXAMPLE = """np.save("ears.npy", {"image_paths": ["a.jpg"], "bboxes": [[100, 80, 160, 170]],
                     "landmarks": [[[110, 90], ...]], "visibility": [[2, ...]], "sources": ["anna"]},
        allow_pickle=True)"""


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """Raises UserError for what is not a manifest at all."""
    manifest = read_manifest(path, check=False)
    if options.box_format == "xywh":
        boxes = manifest.boxes_xyxy.copy()
        boxes[:, 2:] += boxes[:, :2]
        manifest = replace(manifest, boxes_xyxy=boxes)
    if options.image_root:
        manifest = replace(
            manifest,
            image_paths=_moved(manifest.image_paths, path, options.image_root),
            empty_images=_moved(manifest.empty_images, path, options.image_root),
        )
    if options.source_key:
        content = load_object(path)
        if options.source_key not in content:
            raise UserError(
                f"{path}: no key {options.source_key!r} for the sources, it has {sorted(content)}."
            )
        manifest = replace(manifest, sources=np.array([str(value) for value in content[options.source_key]]))
    return manifest


def write(path: Path, manifest: Manifest) -> Path:
    """See `data.manifest.write_manifest`."""
    return write_manifest(path, manifest)


def _moved(paths: np.ndarray, manifest_path: Path, image_root: Path) -> np.ndarray:
    """Paths that were taken as below the manifest's folder, taken as below `image_root` instead."""
    folder = manifest_path.absolute().parent
    finder = ImageFinder(folder, image_root)
    moved = [
        finder.find(str(Path(path).relative_to(folder))) if Path(path).is_relative_to(folder) else path
        for path in map(str, paths)
    ]
    return np.array([str(path) for path in moved], dtype=str)
