"""Ears and scenes to measure with, rendered once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data.manifest import Manifest, read_manifest, write_manifest
from distill.bench.commands import run_here


def render(folder: Path, ears: int, scenes: int) -> dict[str, Any]:
    """What `data.render` writes, without pictures to validate on beyond the fewest."""
    run_here(
        "data.render",
        output_dir=folder,
        ears=ears,
        val_ears=max(9, ears // 4),
        test_ears=9,
        scenes=scenes,
        val_scenes=4,
        test_scenes=4,
        image_px=256,
        scene_px=(360, 480),
    )
    return {}


def repeated_manifest(source: Path, target: Path, rows: int) -> Path:
    """A manifest of `rows` ears, those of `source` again and again: each in a photograph of its own name.

    The names lead to the same files by a detour, so that every ear is decoded by itself.
    """
    ears = read_manifest(source)
    order = np.arange(rows) % len(ears)
    links = target.parent / f"{target.stem}_images"
    links.mkdir(parents=True, exist_ok=True)
    paths = []
    for row, path in enumerate(ears.image_paths[order]):
        link = links / f"{row:06d}{Path(path).suffix}"
        link.symlink_to(path)
        paths.append(str(link))
    return write_manifest(target, Manifest(np.array(paths), ears.boxes_xyxy[order]))
