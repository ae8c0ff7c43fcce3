"""The two small models: a detector for full frames and a landmarker for crops, and their use as one."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Ear": "students.pipeline",
    "EarPipeline": "students.pipeline",
    "StudentDetector": "students.detector",
    "StudentLandmarker": "students.landmarker",
    "build_student": "students.checkpoint",
    "load_student": "students.checkpoint",
    "save_student": "students.checkpoint",
    "coco_ap": "students.coco_ap",
    "detections": "students.boxes",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import students` and the pipeline never load torch."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
