"""The files of an evaluation: metrics.json, tables.md, curves.json and per_image.npz."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from configs.files import write_atomic, write_json, write_text
from students.evaluation.markdown_tables import tables

CURVES = ("ced", "precision50", "precision75")  # kept in curves.json, not in metrics.json


def write_results(folder: Path, metrics: Mapping[str, Any], per_image: Mapping[str, np.ndarray]) -> str:
    """Write all four; returns the tables. metrics: by model, and `settings`."""
    numbers, curves = split_curves(metrics)
    text = tables(numbers)
    write_json(folder / "metrics.json", numbers)
    write_json(folder / "curves.json", curves)
    write_text(folder / "tables.md", text)
    write_atomic(folder / "per_image.npz", lambda path: np.savez_compressed(path, **per_image))
    return text


def split_curves(metrics: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics without their long curves, and the curves alone, both nested as `metrics`."""
    numbers: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    for name, value in metrics.items():
        if name in CURVES:
            curves[name] = value
        elif isinstance(value, Mapping):
            numbers[name], inner = split_curves(value)
            if inner:
                curves[name] = inner
        else:
            numbers[name] = value
    return numbers, curves
