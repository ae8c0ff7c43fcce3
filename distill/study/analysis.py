"""From cells to the study's answer: arms with intervals, pairs with verdicts, label efficiency, landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from configs.errors import UserError
from distill.study.average_precision import BoxesFound
from distill.study.bootstrap import DRAWS, Draws, Measured, compare, measured_means, point_differences
from distill.study.cells import Cells
from distill.study.efficiency import label_efficiency
from distill.study.recipe import Model, Study, budget_word

HEADLINE = {"landmarker": "nme", "ear_detector": "nme", "detector": "ap"}
PATHS = ("_npy", "maps", "checkpoint", "metrics")  # settings that end so name files, not what an arm is
_LEAST_ERROR = 1e-4  # an AP of 1 leaves no error, which has no logarithm


def analyse(study: Study, cells: Cells, draws: int = DRAWS) -> dict[str, Any]:
    """What stands in study.json; of an incomplete study what is there."""
    models = {
        name: _Analysis(name, model, cells, draws).report()
        for name, model in study.models.items()
        if any(key[0] == name for key in cells.found)
    }
    return {
        "name": study.name,
        "recipe": str(study.path),
        "seeds": list(study.seeds),
        "draws": draws,
        "cells": {"there": len(cells.found), "missing": cells.missing},
        "models": models,
    }


@dataclass(frozen=True)
class _Point:
    """One arm at one budget, on some seeds."""

    cells: dict[int, dict[str, Any]]
    measured: Measured
    draws: Draws

    @property
    def labels(self) -> int:
        """As they were used; of frames those with ears."""
        training = next(iter(self.cells.values()))["training"]
        return training["labels"] - training.get("empty_frames", 0)


class _Analysis:
    """Of one model."""

    def __init__(self, name: str, model: Model, cells: Cells, draws: int) -> None:
        self.name, self.model, self.cells, self.draws = name, model, cells, draws
        self.headline = HEADLINE[name]
        self.lower_is_better = self.headline == "nme"
        of_model = [cell for key, cell in cells.found.items() if key[0] == name]
        self.any_cell = of_model[0]
        self.images = len(self.any_cell["per_image"]["paths"])
        if any(cell["per_image"]["paths"] != self.any_cell["per_image"]["paths"] for cell in of_model):
            raise UserError(f"the cells of the {name} were scored on different test sets: score them again.")
        self._all_draws: dict[int, Draws] = {}
        self._drawn_ap: dict[str, np.ndarray] = {}

    def report(self) -> dict[str, Any]:
        content = {
            "headline": self.headline,
            "lower_is_better": self.lower_is_better,
            "test_images": self.images,
            "parameters": self.any_cell["parameters"],
            "multiply_adds": self.any_cell["multiply_adds"],
            "settings": self._differing_settings(),
            "arms": {arm: self._arm(arm) for arm in self.model.arms},
            "pairs": [
                pair
                for arm, baseline in self.model.compare
                for budget in self.model.budgets
                if (pair := self._pair(arm, baseline, budget)) is not None
            ],
        }
        if self.lower_is_better:
            content["landmarks"] = self.any_cell["points"]["names"]
        return content

    def _arm(self, arm: str) -> list[dict[str, Any]]:
        """One entry a budget."""
        entries = []
        for budget in self.model.budgets:
            point = self._point(arm, budget, list(self.cells.of(self.name, arm, budget)))
            if point is not None:
                entries.append({"budget": budget_word(budget), "labels": point.labels, **_summary(point)})
        return entries

    def _pair(self, arm: str, baseline: str, budget: int) -> dict[str, Any] | None:
        """How an arm compares with its baseline at one budget, on the seeds that both have; None without."""
        other = self.cells.of(self.name, baseline, budget)
        seeds = [seed for seed in self.cells.of(self.name, arm, budget) if seed in other]
        ours, theirs = self._point(arm, budget, seeds), self._point(baseline, budget, seeds)
        if ours is None or theirs is None:
            return None
        result = {
            "arm": arm,
            "baseline": baseline,
            "budget": budget_word(budget),
            "labels": ours.labels,
            "seeds": seeds,
            "means": [ours.measured.mean, theirs.measured.mean],
            **compare(ours.measured, theirs.measured, ours.draws, self.lower_is_better),
            "label_efficiency": self._efficiency(ours, baseline, seeds),
        }
        if self.lower_is_better:
            result["landmarks"] = point_differences(
                _point_errors(ours.cells), _point_errors(theirs.cells), ours.draws
            )
        return result

    def _efficiency(self, ours: _Point, baseline: str, seeds: Sequence[int]) -> dict[str, Any] | None:
        """None where the baseline has no curve: fewer than two budgets with these seeds."""
        points = [self._point(baseline, budget, seeds) for budget in self.model.budgets]
        curve = sorted((point for point in points if point is not None), key=lambda point: point.labels)
        if len({point.labels for point in curve}) < 2:
            return None
        return label_efficiency(
            [point.labels for point in curve],
            [self._error(point.measured.mean) for point in curve],
            self._error(np.stack([point.measured.resampled(point.draws) for point in curve], axis=1)),
            ours.labels,
            self._error(ours.measured.mean),
            self._error(ours.measured.resampled(ours.draws)),
        )

    def _error(self, value: Any) -> Any:
        """Lower is better: NME as it is, AP as what is missing from 1."""
        return value if self.lower_is_better else np.maximum(1 - np.asarray(value), _LEAST_ERROR)

    def _point(self, arm: str, budget: int, seeds: Sequence[int]) -> _Point | None:
        """None where a cell of these seeds is missing."""
        there = self.cells.of(self.name, arm, budget)
        if not seeds or any(seed not in there for seed in seeds):
            return None
        chosen, draws = {seed: there[seed] for seed in seeds}, self._draws(len(seeds))
        if self.lower_is_better:
            errors = [np.array(cell["per_image"]["nme"], dtype=np.float64) for cell in chosen.values()]
            return _Point(chosen, measured_means(errors, draws), draws)
        values = np.array([cell["headline"]["ap"] for cell in chosen.values()])
        drawn = np.stack([self._ap_of_draws(cell, draws) for cell in chosen.values()], axis=1)
        return _Point(chosen, Measured(values, drawn), draws)

    def _draws(self, seeds: int) -> Draws:
        if seeds not in self._all_draws:
            self._all_draws[seeds] = Draws.make(self.images, seeds, self.draws)
        return self._all_draws[seeds]

    def _ap_of_draws(self, cell: dict[str, Any], draws: Draws) -> np.ndarray:
        """(R,); the images drawn are the same for any number of seeds, so each cell is measured once."""
        key = f"{cell['arm']}.{cell['budget']}.{cell['seed']}"
        if key not in self._drawn_ap:
            found = cell["per_image"]
            boxes = BoxesFound(found["scores"], found["matched"], found["ears"])
            self._drawn_ap[key] = np.array([boxes.ap(times) for times in draws.images])
        return self._drawn_ap[key]

    def _differing_settings(self) -> dict[str, dict[str, Any]]:
        """{arm: {setting: value}} of those in which the arms differ, files and the like aside."""
        settings = {}
        for (model, arm, _, _), cell in self.cells.found.items():
            if model == self.name:
                settings.setdefault(arm, cell["settings"])
        keys = [
            key
            for key in dict.fromkeys(key for options in settings.values() for key in options)
            if key not in ("labels", "seed")
            and not key.endswith(PATHS)
            and len({repr(options.get(key)) for options in settings.values()}) > 1
        ]
        return {arm: {key: options.get(key) for key in keys} for arm, options in settings.items()}


def _summary(point: _Point) -> dict[str, Any]:
    """Of one arm at one budget."""
    cells = list(point.cells.values())
    worst = [cell["tightness"]["worst_ratio"] for cell in cells if cell.get("tightness")]
    acceptances = [(cell["training"].get("teacher") or {}).get("gate") for cell in cells]
    seconds = [cell["seconds"] for cell in cells if cell["seconds"] is not None]
    content: dict[str, Any] = {
        "seeds": list(point.cells),
        "mean": point.measured.mean,
        "interval": point.measured.interval(point.draws),
        "each_seed": point.measured.values.tolist(),
        "noise": point.measured.seed_std,
        "training_seconds": float(np.mean(seconds)) if seconds else None,
    }
    if "ap50" in cells[0]["headline"]:
        content["ap50"] = float(np.mean([cell["headline"]["ap50"] for cell in cells]))
    if worst and None not in worst:
        content["tightness_worst_ratio"] = float(np.mean(worst))
    if any(acceptances):
        content["labeller_admitted"] = sum(bool(test and test["admitted"]) for test in acceptances)
    return content


def _point_errors(cells: dict[int, dict[str, Any]]) -> list[np.ndarray]:
    return [np.array(cell["per_image"]["point_errors"], dtype=np.float64) for cell in cells.values()]
