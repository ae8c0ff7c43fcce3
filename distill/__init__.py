"""From the teacher's kept maps and predictions to two small students."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "FrozenTeacher": "distill.frozen",
    "KeptMaps": "distill.maps",
    "map_loss": "distill.losses",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import distill` costs nothing."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
