"""From photographs and annotations, or from the renderer, to batches of crops and frames."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Manifest": "data.manifest",
    "read_manifest": "data.manifest",
    "write_manifest": "data.manifest",
    "read_image": "data.images",
    "crop_matrix": "data.crops",
    "Geometry": "data.transforms",
    "GeometryConfig": "data.transforms",
    "Photometry": "data.transforms",
    "PhotometryConfig": "data.transforms",
    "FrameAugmentation": "data.transforms",
    "EarCrops": "data.dataset",
    "Frames": "data.dataset",
    "collate_frames": "data.dataset",
    "EarDataModule": "data.datamodule",
    "landmark_report": "data.metrics",
    "nme": "data.metrics",
    "load_scheme": "data.landmarks",
    "Scheme": "data.landmarks",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import data` costs nothing (no torch, OpenCV or albumentations)."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
