"""Split parts to manifests: ears with boxes, those with landmarks, and whole photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import UserError
from data.manifest import Manifest, join_manifests, labelled_rows, sources_of, write_manifest
from data.preparation.parts import Part
from data.preparation.sides import SIDES


def require_kept(inputs: Sequence[Path], output_dir: Path) -> None:
    """Raises UserError for an input that is one of the files to be written."""
    names = [f"{side}_{kind}.npy" for side in SIDES for kind in ("teacher", "labelled", "frames")]
    overwritten = {output_dir.resolve() / name for name in names}
    for path in inputs:
        if path.resolve() in overwritten:
            raise UserError(f"{path}: would be overwritten; choose another --output-dir.")


def write_sides(sides: Mapping[str, Sequence[Part]], output_dir: Path) -> dict[str, dict[str, int]]:
    """Write all manifests that have rows and remove what an earlier run left of the others.

    Returns {file name: its numbers of ears, images, images_without_ears, sources}.
    """
    outputs: dict[str, dict[str, int]] = {}
    for side, parts in sides.items():
        for kind, manifest in _manifests(parts).items():
            path = output_dir / f"{side}_{kind}.npy"
            if manifest is None or (len(manifest) == 0 and len(manifest.empty_images) == 0):
                path.unlink(missing_ok=True)
                continue
            write_manifest(path, manifest)
            images = {*manifest.image_paths.tolist(), *manifest.empty_images.tolist()}
            outputs[path.name] = {
                "ears": len(manifest),
                "images": len(images),
                "images_without_ears": len(manifest.empty_images),
                "sources": len(set(sources_of(manifest).tolist())),
            }
    return outputs


def _manifests(parts: Sequence[Part]) -> dict[str, Manifest | None]:
    """{kind: manifest} of one side; None where there is nothing of that kind."""
    ears: list[Any] = [part.manifest.select(np.arange(len(part.manifest))) for part in parts]
    ears = [manifest for manifest in ears if len(manifest)]
    joined = join_manifests(ears) if ears else None
    frames = [_frames(part) for part in parts if part.whole_frames]
    return {
        "teacher": joined and replace(joined, landmarks=None, visibility=None),
        "labelled": None
        if joined is None or joined.landmarks is None
        else joined.select(labelled_rows(joined)),
        "frames": join_manifests(frames) if frames else None,
    }


def _frames(part: Part) -> Manifest:
    """Without photographs that show an ear whose row was dropped: a detector would learn to overlook it."""
    whole = np.array([path not in part.spoilt_images for path in part.manifest.image_paths.tolist()], bool)
    return part.manifest.select(whole, keep_empty_images=True)
