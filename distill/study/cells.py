"""The cells of a study that are finished: gathered from their stages' outputs, one JSON a cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.files import write_text
from configs.reading.content import read_json
from distill.pipeline.plan import StagePlan
from distill.study.expand import Cell

CELLS = "cells"


@dataclass
class Cells:
    """What there is, and what is not.

    found: a cell's content by model, arm, budget and seed. missing: cell's name -> why.
    """

    found: dict[tuple[str, str, int, int], dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def of(self, model: str, arm: str, budget: int) -> dict[int, dict[str, Any]]:
        """{seed: cell} of one arm at one budget, in the order of the seeds."""
        there = {key[3]: cell for key, cell in self.found.items() if key[:3] == (model, arm, budget)}
        return dict(sorted(there.items()))


def collect(run_dir: Path, cells: Sequence[Cell], plans: dict[str, StagePlan]) -> Cells:
    """Read the scores of the finished cells, write each with its arm, budget (0: all labels) and seed to
    RUN_DIR/cells/NAME.json, and take others away from there.

    plans: of all stages as the recipe asks for them now; a cell that another recipe made does not count.
    """
    gathered, folder = Cells(), run_dir / CELLS
    for cell in cells:
        plan = plans[cell.score_stage]
        if plan.reasons:
            gathered.missing[cell.name] = "; ".join(plan.reasons)
            continue
        named = {"model": cell.model, "arm": cell.arm, "budget": cell.budget, "seed": cell.seed}
        content = named | read_json(plan.output_dir / "cell.json") | named
        write_compact(folder / f"{cell.name}.json", content)
        gathered.found[cell.model, cell.arm, cell.budget, cell.seed] = content
    names = {f"{cell.name}.json" for cell in cells if cell.name not in gathered.missing}
    for path in folder.glob("*.json") if folder.is_dir() else ():
        if path.name not in names:
            path.unlink()
    return gathered


def write_compact(path: Path, content: dict[str, Any]) -> Path:
    """JSON with a line for each key at the top, for arrays that nobody reads by eye; atomically."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in content.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    return write_text(path, text)
