"""Where a head lies round its ear in the picture, from behind to the full face."""

from dataclasses import dataclass

import numpy as np

# Yaw (radians) of an ear in profile, and of one in a full face: ears stand away from the head.
_PROFILE_YAW, _FULL_FACE_YAW = 0.1, 1.2


@dataclass(frozen=True)
class HeadPlan:
    """Where a head lies round its ear, in ear heights (u to the face, v down).

    `front` is the view: below 0 from behind, 0 profile, 1 full face.
    """

    front: float
    centre: np.ndarray
    radii: np.ndarray

    def reach_px(
        self, ear_px: np.ndarray, height_px: float, shape: tuple[int, int]
    ) -> tuple[int, int, int, int]:
        """Rows and columns (top, bottom, left, right) of the picture that the person may touch."""
        low = ear_px + (self.centre - self.radii * 1.25 - (0.5, 0.2)) * height_px
        high = ear_px + (self.centre + self.radii[0] + 1.9) * height_px
        left, top = np.maximum(low - (1.7 * height_px, 0), 0).astype(int)
        right = min(int(np.ceil(high[0])), shape[1])
        return int(top), shape[0], int(left), right


def draw_plan(rng: np.random.Generator, yaw: float) -> HeadPlan:
    """The head that goes with an ear seen under that yaw (radians)."""
    front = float(np.clip((yaw - _PROFILE_YAW) / (_FULL_FACE_YAW - _PROFILE_YAW), -0.4, 1))
    seen = max(front, 0.0)
    wide = (1.62 - 0.32 * seen) * rng.uniform(0.94, 1.06)
    centre_u = (0.35 + (wide - 0.05 - 0.35) * front) + rng.normal(0, 0.05) * (1 - seen)
    radii = np.array([wide, rng.uniform(1.75, 1.95)], np.float32)
    return HeadPlan(front, np.array([centre_u, -0.30], np.float32), radii)
