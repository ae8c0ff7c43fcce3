"""Where a person stands in a scene: whole people near and far, and windows cut round one ear or face."""

from dataclasses import dataclass

import numpy as np

from data.render.head.head_plan import HeadPlan, draw_plan
from data.render.scene.yaw import YawRange, draw_yaw

# Ear heights as fractions of the frame's height.
SMALLEST, LARGEST = 0.04, 0.60
# A window round an ear is this many ear heights high, and this wide for its height.
_WINDOW_EARS, _WINDOW_RATIO = (1.8, 3.3), (0.6, 1.1)
_ATTEMPTS = 30
# From this `HeadPlan.front` on both ears of a face can be seen.
BOTH_FRONT = 0.62


@dataclass(frozen=True)
class Stand:
    """One person's place: `ear_px` (2,) of the middle of the ear and its height; `flipped` when the face lies
    left (all places then are those in the mirrored picture).
    """

    yaw: float
    plan: HeadPlan
    ear_px: np.ndarray
    height_px: float
    flipped: bool


def window_shape(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a window that fits into a scene of that shape."""
    rows, columns = shape
    wide = int(np.clip(rows * rng.uniform(*_WINDOW_RATIO), min(64, columns), columns))
    return rows, wide


def stand_in_window(rng: np.random.Generator, shape: tuple[int, int], earless: bool, yaws: YawRange) -> Stand:
    """A person of whom the frame shows little more than an ear, or a face without its ear (`earless`)."""
    rows, columns = shape
    yaw = float(rng.uniform(0.35, 1.3) if earless else draw_yaw(rng, yaws))
    plan = draw_plan(rng, yaw)
    height = rows / rng.uniform(*_WINDOW_EARS)
    flipped = bool(rng.random() < 0.5)
    if earless:
        aside = rng.uniform(0.6, 0.9)
        if plan.front > BOTH_FRONT:  # so near that the other ear is outside as well
            height = max(height, columns / max(2 * float(plan.centre[0]) - 0.45 - aside, 0.5))
        ear = np.array([-aside * height, rng.uniform(0.1, 0.9) * rows])
        return Stand(yaw, plan, ear, height, flipped)
    margin = np.minimum(np.array([0.32, 0.48]) * height, np.array([columns, rows]) * 0.45)
    ear = rng.uniform(margin, np.array([columns, rows]) - 1 - margin)
    return Stand(yaw, plan, ear, height, flipped)


def stand_in_scene(
    rng: np.random.Generator,
    shape: tuple[int, int],
    boxes_xyxy: list[np.ndarray],
    yaws: YawRange,
) -> Stand | None:
    """A whole person somewhere in the frame who covers none of the boxes; None where it is too crowded."""
    rows, columns = shape
    for attempt in range(_ATTEMPTS):
        yaw = draw_yaw(rng, yaws)
        plan = draw_plan(rng, yaw)
        largest = max(LARGEST * 0.9 * 0.92**attempt, SMALLEST * 1.2)  # where it is crowded, further away
        height = float(rows * np.exp(rng.uniform(np.log(SMALLEST * 1.1), np.log(largest))))
        margin = np.minimum(np.array([0.6, 0.7]) * height, np.array([columns, rows]) * 0.48)
        ear_px = rng.uniform(margin, np.array([columns, rows]) - 1 - margin)
        flipped = bool(rng.random() < 0.5)
        reach = plan.reach_px(ear_px, height, shape)
        taken = [mirrored_box(box, columns) if flipped else box for box in boxes_xyxy]
        if not any(_meets(box, *reach) for box in taken):
            return Stand(yaw, plan, ear_px, height, flipped)
    return None


def mirrored_box(box_xyxy: np.ndarray, columns: int) -> np.ndarray:
    """The box (4,) px edges in the mirrored picture."""
    return np.array([columns - box_xyxy[2], box_xyxy[1], columns - box_xyxy[0], box_xyxy[3]])


def _meets(box: np.ndarray, top: int, bottom: int, left: int, right: int) -> bool:
    grow = 0.15 * (box[2:] - box[:2])
    return bool(
        box[0] - grow[0] < right
        and box[2] + grow[0] > left
        and box[1] - grow[1] < bottom
        and box[3] + grow[1] > top
    )
