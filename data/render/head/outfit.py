"""What a person wears or holds at the head on one photograph; most people nothing that covers the ear."""

from dataclasses import dataclass

import numpy as np

# Shares of photographs. One thing at most covers the ear, beside hair and the arm of glasses.
_GLASSES = 0.13
_OVER_EAR = {
    "nothing": 0.70,
    "earbud": 0.08,
    "hearing_aid": 0.02,
    "mask": 0.04,
    "hat": 0.06,
    "scarf": 0.04,
    "fingers": 0.03,
    "piercings": 0.03,
}


@dataclass(frozen=True)
class Outfit:
    """`glasses`: drawn on the face and over the ear; `over_ear`: one of `nothing`, earbud, hearing_aid, mask,
    hat, scarf, fingers, piercings. `colour` (3,) of frame or cloth, linear; `seed` of its small details.
    """

    glasses: bool
    over_ear: str
    colour: np.ndarray
    seed: int

    def rng(self) -> np.random.Generator:
        """The same details wherever a part of the outfit is drawn."""
        return np.random.default_rng([self.seed, 4])


def draw_outfit(rng: np.random.Generator) -> Outfit:
    """Glasses by chance, and at most one thing over the ear, by the shares above."""
    colour = rng.choice([rng.uniform(0.005, 0.03), rng.uniform(0.05, 0.8)]) * np.exp(rng.normal(0, 0.35, 3))
    worn = str(rng.choice(list(_OVER_EAR), p=list(_OVER_EAR.values())))
    return Outfit(bool(rng.random() < _GLASSES), worn, np.clip(colour, 0.004, 0.9), int(rng.integers(2**31)))
