"""A scene for the detector: people with 0 to 3 ears to be seen, in front of clutter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.render.ear.labelling import Habit
from data.render.head.identity import Identity, draw_identity
from data.render.paint.background import background
from data.render.paint.exposure import expose
from data.render.paint.light import Light, draw_light
from data.render.scene.clutter import paint_clutter
from data.render.scene.framing import stand_in_scene, stand_in_window, window_shape
from data.render.scene.people import SeenEar, add_person
from data.render.scene.yaw import USUAL, YawRange

# Share of scenes that are windows round one person's ear, the others showing whole people; of those windows
# the share that holds a face without its ear, and the share with the ear under hair or headphones.
_WINDOWS, _EARLESS, _COVERED = 0.42, 0.15, 0.05
# Windows in front of a plain background, as in a studio.
_PLAIN = 0.5

DrawSomeone = Callable[[], Identity]  # the next person of a scene


@dataclass(frozen=True)
class RenderedScene:
    """A picture with N ears, N from 0 to 3.

    image (H, W, 3) uint8 RGB; boxes_xyxy (N, 4) float32 px (edges); landmarks (N, 17, 2) float32 px;
    visibility (N, 17) uint8: 2 seen, 1 covered, 0 outside.
    """

    image: np.ndarray
    boxes_xyxy: np.ndarray
    landmarks: np.ndarray
    visibility: np.ndarray


def render_scene(
    seed: int,
    identities: list[int] | None = None,
    image_px: tuple[int, int] = (480, 640),
    yaws: YawRange = USUAL,
    habit: Habit = "fractions",
) -> RenderedScene:
    """Scene `seed` of image_px (height, width); people are taken from `identities` (seeds) or its own.

    Windows round one ear are as high as image_px and at most as wide.
    """
    rng = np.random.default_rng([seed, 3])
    light = draw_light(rng)
    people = list(identities) if identities else [(seed + 1) * 8 + index + 2**60 for index in range(6)]
    draw = _window if rng.random() < _WINDOWS else _wide_scene

    def draw_someone() -> Identity:
        return draw_identity(people[int(rng.integers(len(people)))], habit)

    image, ears = draw(rng, light, draw_someone, image_px, yaws)
    image = expose(image, rng, 0.8)
    count = len(ears)
    return RenderedScene(
        image,
        np.array([ear.box_xyxy for ear in ears], np.float32).reshape(count, 4),
        np.array([ear.points for ear in ears], np.float32).reshape(count, 17, 2),
        np.array([ear.visibility for ear in ears], np.uint8).reshape(count, 17),
    )


def _wide_scene(
    rng: np.random.Generator, light: Light, draw_someone: DrawSomeone, shape: tuple[int, int], yaws: YawRange
) -> tuple[np.ndarray, list[SeenEar]]:
    """Whole people, some of whose ears are hidden, and the ears that are seen."""
    image = paint_clutter(rng, shape, light)
    wanted = int(rng.choice([0, 1, 2, 3], p=[0.2, 0.4, 0.26, 0.14]))
    hidden = int(rng.integers(0, 3)) if wanted == 0 else int(rng.random() < 0.2)
    ears: list[SeenEar] = []
    while hidden or wanted:
        hide = hidden > 0
        identity = draw_someone()
        stand = stand_in_scene(rng, shape, [ear.box_xyxy for ear in ears], yaws)
        found: list[SeenEar] = []
        if stand is not None:
            image, found = add_person(rng, image, identity, light, stand, wanted, hide)
        ears += found
        hidden -= hide
        wanted = 0 if not hide and not found else wanted - len(found)
    return image, ears


def _window(
    rng: np.random.Generator, light: Light, draw_someone: DrawSomeone, shape: tuple[int, int], yaws: YawRange
) -> tuple[np.ndarray, list[SeenEar]]:
    """Little more than one ear, its cheek and hair; or a face without its ear."""
    shape = window_shape(rng, shape)
    plain = rng.random() < _PLAIN
    image = background(rng, shape) if plain else paint_clutter(rng, shape, light)
    kind = rng.random()
    earless, covered = kind < _EARLESS, _EARLESS <= kind < _EARLESS + _COVERED
    identity = draw_someone()
    stand = stand_in_window(rng, shape, earless, yaws)
    return add_person(rng, image, identity, light, stand, 0 if earless else 2, covered)
