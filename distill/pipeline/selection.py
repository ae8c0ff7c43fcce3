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
        chosen &= set(with_needs(recipe, [until]))
    if not chosen:
        raise UserError(f"nothing lies between: stage {until!r} does not depend on stage {start!r}.")
    return [name for name in recipe.stages if name in chosen]


def with_needs(recipe: Recipe, names: Sequence[str]) -> list[str]:
    """These stages and all they need, in order."""
    chosen: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in chosen:
            chosen.add(name)
            left += recipe.stage(name).needs
    return [name for name in recipe.stages if name in chosen]


def _dependents(recipe: Recipe, name: str) -> set[str]:
    found = {name}
    for later, stage in recipe.stages.items():  # in order: what a stage needs comes before it
        if found & set(stage.needs):
            found.add(later)
    return found
