"""From a study to the stages of an ordinary recipe: what each cell trains, what it needs first, its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from configs.build import field_types
from configs.errors import UserError, did_you_mean
from configs.recipe import RUN, Recipe, recipe_from, references, substitute
from distill.pipeline.commands import command_module
from distill.study.recipe import SET_BY_THE_STUDY, TESTED_ON, Study, Template, budget_word

SCORE = "distill.study.score"
STAGES = "stages"  # folder of the run where the stages' outputs lie


@dataclass(frozen=True)
class Cell:
    """One training of the study and its score."""

    model: str
    arm: str
    budget: int
    """labels, 0 for all"""
    seed: int
    score_stage: str

    @property
    def name(self) -> str:
        """MODEL.ARM.BUDGET.SEED, as its JSON is called."""
        return f"{self.model}.{self.arm}.{budget_word(self.budget)}.{self.seed}"


def expand(study: Study) -> tuple[Recipe, list[Cell]]:
    """The stages of all cells, and the cells; seed by seed, so that one cut off is a study of fewer seeds.

    What no cell needs is left out. Raises UserError for templates that need each other in a circle.
    """
    expansion = _Expansion(study)
    cells = []
    budgets = sorted(
        {budget for model in study.models.values() for budget in model.budgets}, key=lambda b: (b == 0, b)
    )
    for seed in study.seeds:
        for budget in budgets:
            for model, content in study.models.items():
                if budget in content.budgets:
                    cells += [expansion.cell(model, arm, budget, seed) for arm in content.arms]
    content = {"name": study.name, "run_dir": str(study.run_dir / STAGES), "stages": expansion.stages}
    return recipe_from(content, study.path), cells


def choose_cells(
    study: Study,
    cells: Sequence[Cell],
    models: Sequence[str] = (),
    arms: Sequence[str] = (),
    budgets: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> list[Cell]:
    """The cells of these models, arms, budgets (numbers or `all`) and seeds; () means every one.

    Raises UserError for one that the study does not have, or when nothing is left.
    """
    asked = {"models": models, "arms": arms, "budgets": budgets, "seeds": [str(seed) for seed in seeds]}
    known = {
        "models": [cell.model for cell in cells],
        "arms": [cell.arm for cell in cells],
        "budgets": [budget_word(cell.budget) for cell in cells],
        "seeds": [str(cell.seed) for cell in cells],
    }
    for flag, words in asked.items():
        for word in words:
            if word not in known[flag]:
                there = list(dict.fromkeys(known[flag]))
                raise UserError(
                    f"--{flag}: {study.path} has no {word!r}.{did_you_mean(word, there)} "
                    f"It has: {', '.join(there)}."
                )
    chosen = [
        cell
        for index, cell in enumerate(cells)
        if all(not words or known[flag][index] in words for flag, words in asked.items())
    ]
    if not chosen:
        raise UserError(f"{study.path}: no cell is of all that models, arms, budgets and seeds ask for.")
    return chosen


class _Expansion:
    """Stages made on demand, in an order in which each comes after what it needs."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.stages: dict[str, dict[str, Any]] = {}
        self._made_from: dict[str, tuple] = {}
        self._under_way: list[str] = []

    def cell(self, model: str, arm: str, budget: int, seed: int) -> Cell:
        trained = self._stage(f"{model}.{arm}", budget, seed)
        test_npy = self.study.test[TESTED_ON[model]]
        for name in references(test_npy):
            if name != RUN:
                self._stage(name, budget, seed)
        options = {"model": model, "trained": f"${{{trained}}}", "test_npy": test_npy}
        name = f"{trained}_score"
        self._add(name, (trained, "score"), {"command": SCORE, "options": options})
        return Cell(model, arm, budget, seed, name)

    def _stage(self, name: str, budget: int, seed: int) -> str:
        """Make the stage that `${name}` means for this budget and seed, and what it needs; its name."""
        shared = name in self.study.shared
        made_from = (name,) if shared else (name, budget, seed)
        stage_name = name if shared else f"{name.replace('.', '_')}_{budget_word(budget)}_seed{seed}"
        if name in self._under_way:
            circle = " -> ".join([*self._under_way[self._under_way.index(name) :], name])
            raise UserError(f"{self.study.path}: these need each other in a circle: {circle}.")
        if self._made_from.get(stage_name) != made_from:
            self._under_way.append(name)
            stage = self._filled(name, budget, seed)
            self._under_way.pop()
            self._add(stage_name, made_from, stage)
        return stage_name

    def _template(self, name: str) -> Template:
        if "." in name:
            model, _, arm = name.partition(".")
            return self.study.models[model].arms[arm]
        return (self.study.shared | self.study.prepared)[name]

    def _filled(self, name: str, budget: int, seed: int) -> dict[str, Any]:
        """The stage of a template; a shared one has its own labels and seed, if any."""
        template = self._template(name)
        stages = {
            other: other if other == RUN else self._stage(other, budget, seed)
            for other in references(template.options)
        }
        options = substitute(template.options, {other: f"${{{stage}}}" for other, stage in stages.items()})
        if name not in self.study.shared:
            fields = field_types(command_module(template.command, f"{self.study.path}, {name}").Config)
            values = {"labels": budget, "seed": seed}
            options |= {key: values[key] for key in SET_BY_THE_STUDY if key in fields}
        return {"command": template.command, "options": options}

    def _add(self, stage_name: str, made_from: tuple, stage: dict[str, Any]) -> None:
        if stage_name in self.stages and self._made_from[stage_name] != made_from:
            raise UserError(
                f"{self.study.path}: {'.'.join(map(str, made_from))} and "
                f"{'.'.join(map(str, self._made_from[stage_name]))} would both be the stage {stage_name!r}; "
                "rename one."
            )
        self.stages[stage_name], self._made_from[stage_name] = stage, made_from
