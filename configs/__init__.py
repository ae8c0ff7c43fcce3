"""Recipes (YAML), and what turns them, or flags, into the configuration of a command."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "UserError": "configs.errors",
    "did_you_mean": "configs.errors",
    "build": "configs.build",
    "load_recipe": "configs.recipe",
    "Recipe": "configs.recipe",
    "run_command": "configs.command",
    "write_atomic": "configs.files",
    "write_json": "configs.files",
    "read_json": "configs.files",
    "write_provenance": "configs.provenance",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import configs` costs nothing."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
