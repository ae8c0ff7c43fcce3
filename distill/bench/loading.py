"""What feeds the steps: crops decoded once and mapped, manifests of a million ears, rendered ears."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from data.augmentation import GeometryConfig, PhotometryConfig
from data.crops import crop
from data.dataset import EarCrops
from data.images import read_image
from data.loading.datamodule import ear_loader
from data.manifest import Manifest, read_manifest, write_manifest
from data.render.scene.photograph import render_ear
from data.transforms import Geometry, Photometry


class DecodedAnew(EarCrops):
    """Ears whose photograph is decoded at every draw."""

    def _context(self, index: int) -> np.ndarray:
        photograph = read_image(str(self.manifest.image_paths[index]))
        return crop(photograph, self._context_matrix(index), self._cache.side_px)


def loader_rate(manifest_npy: Path, kept: bool, num_workers: int, epochs: int) -> dict[str, Any]:
    """Augmented crops a second, after a first epoch. kept: decoded once, else at every draw."""
    geometry, photometry = Geometry(GeometryConfig(), 128), Photometry(PhotometryConfig())
    dataset_class = EarCrops if kept else DecodedAnew
    ears = dataset_class(read_manifest(manifest_npy), geometry=geometry, photometry=photometry)
    loader = ear_loader(ears, min(32, len(ears)), num_workers, seed=0, train=True)
    list(loader)
    start = time.perf_counter()
    count = sum(len(batch["image"]) for _ in range(epochs) for batch in loader)
    return {"per_second": count / (time.perf_counter() - start)}


def first_epoch(manifest_npy: Path) -> dict[str, Any]:
    """Seconds from a manifest's path through a first epoch: opened, every photograph decoded, augmented.

    In this process alone: the start of workers, some seconds once, would hide what an ear costs.
    """
    start = time.perf_counter()
    geometry, photometry = Geometry(GeometryConfig(), 128), Photometry(PhotometryConfig())
    ears = EarCrops(read_manifest(manifest_npy), geometry=geometry, photometry=photometry)
    count = sum(len(batch["image"]) for batch in ear_loader(ears, 50, 0, seed=0, train=True))
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "per_second": count / seconds}


def open_manifest(folder: Path, rows: int) -> dict[str, Any]:
    """Seconds to open a manifest of so many ears, landmarks and sources included."""
    path = folder / f"{rows}.npy"
    start = time.perf_counter()
    found = read_manifest(path)
    seconds = time.perf_counter() - start
    assert len(found) == rows
    return {"seconds": seconds}


def write_large_manifest(folder: Path, rows: int) -> dict[str, Any]:
    """A manifest of ears that nobody has, for `open_manifest`."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 500, (rows, 2)).astype(np.float32)
    boxes = np.concatenate((corners, corners + 100), axis=1)
    landmarks = corners[:, None] + rng.uniform(0, 100, (rows, 17, 2)).astype(np.float32)
    paths = np.array([f"{folder}/images/ears/photograph_{row:07d}.jpg" for row in range(rows)])
    sources = np.array([f"person_{row // 3:06d}" for row in range(rows)])
    write_manifest(folder / f"{rows}.npy", Manifest(paths, boxes, landmarks, sources=sources))
    return {}


def rendering_rate(ears: int) -> dict[str, Any]:
    """Rendered ears of 128 px a second in one process."""
    render_ear(0, 0, image_px=128)
    start = time.perf_counter()
    for identity in range(1, ears + 1):
        render_ear(identity, 0, image_px=128)
    return {"per_second": ears / (time.perf_counter() - start)}
