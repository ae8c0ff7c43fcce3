"""The score of a fake training: errors of six ears, smaller with more labels and for the arm `both`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.command import run_command
from data.landmarks import load_scheme
from distill.pipeline.plan import read_record
from distill.study.cells import write_compact

EARS, POINTS = 6, 17


@dataclass
class Config:
    """As `distill.study.score`."""

    model: str
    """what was trained"""
    trained: Path
    """its folder"""
    test_npy: Path
    """not looked at"""
    output_dir: Path
    """folder for cell.json"""


def main(config: Config) -> Path:
    """Write cell.json, of the arm, budget and seed that the training's stage is named after."""
    arm, budget, seed = re.fullmatch(r".*_(\w+)_(\w+)_seed(\d+)", config.trained.name).groups()
    cell = made_up_cell(arm, 0 if budget == "all" else int(budget), int(seed))
    for name in ("arm", "budget", "seed"):
        del cell[name]  # the study writes them
    settings = read_record(config.trained)["settings"]
    write_compact(config.output_dir / "cell.json", cell | {"model": config.model, "settings": settings})
    return config.output_dir


def made_up_cell(arm: str, budget: int, seed: int, gain: float = 0.8) -> dict:
    """Of a landmarker: error 0.4 over the root of the labels (100 where all), times `gain` for `both`."""
    labels = budget or 100
    level = 0.4 / np.sqrt(labels) * (gain if arm == "both" else 1.0) * (1 + 0.01 * seed)
    errors = level * np.linspace(0.5, 1.5, EARS)[:, None] * np.ones(POINTS)
    return {
        "model": "landmarker", "arm": arm, "budget": budget, "seed": seed,
        "headline": {"nme": float(errors.mean())},
        "missed": 0,
        "tightness": {"margins": [0.1], "nme": [level], "worst_ratio": 1.05},
        "points": {"names": list(load_scheme().names), "nme": errors.mean(axis=0).tolist()},
        "per_image": {
            "paths": [f"{k}.png" for k in range(EARS)],
            "nme": errors.mean(axis=1).tolist(),
            "point_errors": errors.tolist(),
        },
        "parameters": 1000, "multiply_adds": 2_000_000, "labels": labels,
        "training": {"labels": labels}, "seconds": 1.0, "settings": {}, "fingerprint": "0",
    }  # fmt: skip


if __name__ == "__main__":
    run_command(Config, main)
