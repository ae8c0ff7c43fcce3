"""From which side ears are seen."""

from dataclasses import dataclass

import numpy as np

from configs.errors import UserError

# Yaw (radians) from which an ear is seen more from the front than from the side, and the largest to be drawn.
TURNED_FROM, YAW_LIMIT = 0.7, 1.5


@dataclass(frozen=True)
class YawRange:
    """From which sides ears are seen."""

    turned: float = 0.45
    """Share of ears seen more from the front than from the side; those are harder to find and to read."""
    yaw_max: float = 1.32
    """Largest yaw of those, radians, 0.7 to 1.5; from about 1.4 on an ear is a third as wide as high."""

    def __post_init__(self) -> None:
        """Raises UserError for a share or an angle that cannot be drawn."""
        if not 0 <= self.turned <= 1:
            raise UserError(f"turned is {self.turned}; give a share from 0 to 1")
        if not TURNED_FROM <= self.yaw_max <= YAW_LIMIT:
            raise UserError(f"yaw_max is {self.yaw_max}; give radians from {TURNED_FROM} to {YAW_LIMIT}")


USUAL = YawRange()


def draw_yaw(rng: np.random.Generator, yaws: YawRange) -> float:
    """From which side an ear is seen, in radians: from a little behind to nearly the full face."""
    if rng.random() < yaws.turned:
        return float(rng.uniform(TURNED_FROM, yaws.yaw_max))
    return float(np.clip(rng.normal(0.10, 0.32), -0.55, 0.9))
