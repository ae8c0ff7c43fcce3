"""Which stages of a recipe to run: --only, --from, --until."""

from __future__ import annotations

from collections.abc import Sequence

from configs.errors import UserError
from configs.recipe import Recipe


def choose(
    recipe: Recipe, only: Sequence[str] = (), start: str | None = None, until: str | None = None
) -> list[str]:
    """Names of the chosen stages, in order.

    only: exactly these. start (`--from`): it and everything that depends on it. until: it and everything it
    needs. Both: what lies on the way from one to the other.
    """
    for name in [*only, *(name for name in (start, until) if name is not None)]:
        recipe.stage(name)
    if only and (start or until):
        raise UserError("--only names the stages to run; it does not go together with --from and --until.")
    if only:
        return [name for name in recipe.stages if name in only]
    chosen = set(recipe.stages)
    if start is not None:
        chosen &= _dependents(recipe, start)
    if until is not None:
        chosen &= _ancestors(recipe, until)
    if not chosen:
        raise UserError(f"nothing lies between: stage {until!r} does not depend on stage {start!r}.")
    return [name for name in recipe.stages if name in chosen]


def _dependents(recipe: Recipe, name: str) -> set[str]:
    found = {name}
    for later, stage in recipe.stages.items():  # in order: what a stage needs comes before it
        if found & set(stage.needs):
            found.add(later)
    return found


def _ancestors(recipe: Recipe, name: str) -> set[str]:
    return {name}.union(*(_ancestors(recipe, need) for need in recipe.stages[name].needs))
