"""A close-up of one cheek: skin, neck and hair round an ear, without a whole head."""

import numpy as np

from data.render.ear.camera import Camera
from data.render.ear.skin import Skin, surface_shade
from data.render.head.hair import Hair
from data.render.head.hairline import comb_hair
from data.render.paint.background import background
from data.render.paint.blending import over, step
from data.render.paint.light import Light
from data.render.paint.noise import field


def paint_close_up(
    rng: np.random.Generator,
    plane: tuple[np.ndarray, np.ndarray],
    skin: Skin,
    hair: Hair,
    light: Light,
    camera: Camera,
) -> np.ndarray:
    """Linear RGB (h, w, 3) of all but the ear; `plane` holds each pixel's x and y in ear heights."""
    x, y = plane
    image = background(rng, x.shape)
    head, edge = _head_cover(rng, x, y)
    image = over(image, _cheek(rng, x, y, skin, light, edge), head)
    return comb_hair(rng, image, plane, hair, light, camera, head)


def _head_cover(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cover of the head with its neck (h, w), and the distance to its back edge in ear heights."""
    back = float(rng.choice([-1.6, -0.25, 0.12], p=[0.5, 0.2, 0.3])) + rng.normal(0, 0.12)
    curve = (
        back
        + 0.25 * np.square(np.maximum(0.3 - y, 0))
        + np.where(y > 0.7, 0.35 * np.square(y - 0.7), 0) * (back > -1)
    )
    edge = x - curve + 0.01 * field(rng, x.shape, 4)
    return step(edge, -0.012, 0.012), edge


def _cheek(rng, x, y, skin: Skin, light: Light, edge: np.ndarray) -> np.ndarray:
    """Skin of cheek, neck and the hollow behind the ear, linear RGB."""
    shape = x.shape
    # Cheekbone and temple turn forwards, the bone behind the ear turns back, the jaw turns down.
    turn_x, turn_y = np.clip(0.55 * (x - 0.45), -0.75, 0.75), np.clip(0.45 * (y - 0.3), -0.5, 0.6)
    turn_x = turn_x - 0.8 * step(-edge, -0.4, 0)
    length = np.sqrt(1 + turn_x**2 + turn_y**2)
    shade = surface_shade(
        light, (turn_x * light.direction[0] + turn_y * light.direction[1] + light.direction[2]) / length
    )
    blood = skin.redness * (0.18 * field(rng, shape, 4, 2) + 0.06)
    mottle = 1 + np.float32(0.03 * skin.texture) * field(rng, shape, 34, 2) + 0.06 * field(rng, shape, 2, 1)
    albedo = (
        skin.albedo * np.exp(-blood[..., None] * np.array([0.10, 0.42, 0.36], np.float32)) * mottle[..., None]
    )
    # The jaw turns away below and behind the lobe; the neck under it lies in its shade.
    jaw = x - 0.75 + 1.1 * (y - 1.05)
    neck = step(-jaw, -0.05, 0.12) * step(y, 0.75, 1.1) * rng.uniform(0.1, 0.5)
    return (albedo * shade * (1 - neck)[..., None]).astype(np.float32)
