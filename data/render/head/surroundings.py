"""What stands round an ear: cheek, neck, hair and the background behind the head."""

import numpy as np

from data.render.ear.camera import Camera
from data.render.ear.skin import Light, Skin, surface_shade
from data.render.head.hair import Hair
from data.render.head.hairline import comb_hair
from data.render.paint.blending import over, step
from data.render.paint.noise import field


def paint_surroundings(
    rng: np.random.Generator,
    plane: tuple[np.ndarray, np.ndarray],
    skin: Skin,
    hair: Hair,
    light: Light,
    camera: Camera,
) -> np.ndarray:
    """Linear RGB (h, w, 3) of all but the ear; `plane` holds each pixel's x and y in ear heights."""
    x, y = plane
    image = background(rng, x.shape, light)
    head, edge = _head_cover(rng, x, y, hair)
    image = over(image, _cheek(rng, x, y, skin, light, edge), head)
    return comb_hair(rng, image, plane, hair, light, camera, head)


def background(rng: np.random.Generator, shape: tuple[int, int], light: Light) -> np.ndarray:
    """A plain, graded or blurred background, linear RGB (h, w, 3)."""
    colour = rng.choice([0, 1, 2], p=[0.36, 0.24, 0.40])
    if colour == 0:
        base = np.array([0.8, 0.8, 0.8]) * rng.uniform(0.7, 1.3)
    elif colour == 1:
        base = np.full(3, rng.uniform(0.005, 0.05)) * rng.uniform(0.8, 1.2, 3)
    else:
        base = rng.uniform(0.03, 0.55) * np.exp(rng.normal(0, 0.22, 3))
    rows, columns = shape
    tilt = rng.normal(0, 0.35, 2)
    ramp = (
        1
        + tilt[0] * np.linspace(-0.5, 0.5, columns, dtype=np.float32)
        + tilt[1] * np.linspace(-0.5, 0.5, rows, dtype=np.float32)[:, None]
    )
    image = ramp.astype(np.float32)[..., None] * base.astype(np.float32)
    if colour == 2:
        other = rng.uniform(0.02, 0.6) * np.exp(rng.normal(0, 0.3, 3)).astype(np.float32)
        mix = 1 / (1 + np.exp(-3 * field(rng, shape, rng.uniform(1, 6), 2) * rng.uniform(0.3, 2)))
        image = over(image, other, mix)
    return np.maximum(image, 0).astype(np.float32)


def _head_cover(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, hair: Hair
) -> tuple[np.ndarray, np.ndarray]:
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
