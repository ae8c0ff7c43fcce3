"""What stays the same in all photographs of one ear."""

from dataclasses import dataclass

import numpy as np

from data.render.ear.anatomy import Anatomy, draw_anatomy
from data.render.ear.labelling import Habit
from data.render.ear.skin import Skin, draw_skin
from data.render.head.hair import Hair, draw_hair


@dataclass(frozen=True)
class Identity:
    """An ear and the person it belongs to."""

    anatomy: Anatomy
    skin: Skin
    hair: Hair
    earring: bool
    bearded: bool


def draw_identity(seed: int, habit: Habit = "fractions") -> Identity:
    """The identity of that seed, its ear's points set as `habit` has it."""
    rng = np.random.default_rng([seed, 1])
    anatomy, skin = draw_anatomy(rng, habit), draw_skin(rng)
    return Identity(
        anatomy, skin, draw_hair(rng, skin.depth), bool(rng.random() < 0.2), bool(rng.random() < 0.5)
    )
