"""The teacher: a SAM-VAE that learns ears by reconstructing them, and the EarDetector on top of its
encoder.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "EarVAE": "teacher.vae",
    "EarDetector": "teacher.detector",
    "build_backbone": "teacher.backbones",
    "embed_images": "teacher.embed",
    "most_similar": "teacher.embed",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import teacher` costs nothing."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
