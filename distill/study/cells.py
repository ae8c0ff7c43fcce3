"""The cells of a study that are finished: gathered from their stages' outputs, one JSON a cell."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.files import read_json, write_atomic
from distill.pipeline.plan import StagePlan
from distill.study.expand import Cell

CELLS = "cells"


@dataclass
class Cells:
    """What there is, and what is not.

    found: content of cell.json by model, arm, budget and seed. missing: cell's name -> why.
    """

    found: dict[tuple[str, str, int, int], dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def of(self, model: str, arm: str, budget: int) -> dict[int, dict[str, Any]]:
        """{seed: cell} of one arm at one budget, in the order of the seeds."""
        there = {key[3]: cell for key, cell in self.found.items() if key[:3] == (model, arm, budget)}
        return dict(sorted(there.items()))


def collect(run_dir: Path, cells: Sequence[Cell], plans: dict[str, StagePlan]) -> Cells:
    """Copy the finished cells to RUN_DIR/cells/NAME.json, take others away from there, and read them.

    plans: of all stages as the recipe asks for them now; a cell that another recipe made does not count.
    """
    gathered, folder = Cells(), run_dir / CELLS
    for cell in cells:
        plan = plans[cell.score_stage]
        if plan.reasons:
            gathered.missing[cell.name] = "; ".join(plan.reasons)
            continue
        path = plan.output_dir / "cell.json"
        write_atomic(folder / f"{cell.name}.json", lambda temporary, path=path: shutil.copy(path, temporary))
        gathered.found[cell.model, cell.arm, cell.budget, cell.seed] = read_json(path)
    names = {f"{cell.name}.json" for cell in cells if cell.name not in gathered.missing}
    for path in folder.glob("*.json") if folder.is_dir() else ():
        if path.name not in names:
            path.unlink()
    return gathered
