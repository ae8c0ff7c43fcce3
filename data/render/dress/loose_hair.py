"""Hair that hangs over an ear: single strands, and a lock that hides part of it."""

import cv2
import numpy as np

from data.render.ear.camera import Camera
from data.render.head.hair import Hair, draw_strands, hair_texture
from data.render.paint.blending import over, step
from data.render.paint.light import Light


def hang_hair(
    rng: np.random.Generator,
    image: np.ndarray,
    plane: tuple,
    hair: Hair,
    light: Light,
    camera: Camera,
    heavy: bool,
    fade: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Image with loose strands (and a lock when `heavy`) over the ear, and the cover (h, w) they gave.

    `fade` lets the lock end before the border of the image, when the image is a window of a larger one.
    """
    shape = image.shape[:2]
    paths = []
    for _ in range(int(rng.integers(1, 4)) + 2 * heavy):
        paths += _lock(rng, int(rng.integers(2, 7)))
    paths = [camera.project_plane(path) for path in paths]
    cover, tone = draw_strands(rng, shape, paths, 0.0045 * camera.scale * hair.coarseness)
    lock = np.zeros(shape, np.float32)
    if heavy:
        lock, texture = _falling_lock(rng, plane, hair, light)
        if fade:
            lock = lock * _vignette(shape)
        soft = cv2.GaussianBlur(lock, (0, 0), 0.03 * camera.scale)
        image = over(image * (1 - 0.4 * soft[..., None]), texture, lock)
    colour = (hair.colour * light.colour * 1.2)[None, None] * tone[..., None] + 0.01
    image = image + (colour - image) * cover[..., None]
    return image, np.maximum(lock, cover)


def _lock(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """A few strands that leave the hair together and part a little: paths (24, 2) in ear heights."""
    t = np.linspace(0, 1, 24)
    root = np.array([rng.uniform(-0.1, 0.75), rng.uniform(-0.4, -0.05)])
    drift, bend, reach = rng.normal(-0.1, 0.3), rng.normal(0, 0.3), rng.uniform(0.6, 1.9)
    paths = []
    for _ in range(count):
        side = rng.normal(0, 0.02) + (drift + rng.normal(0, 0.05)) * t + (bend + rng.normal(0, 0.08)) * t**2
        paths.append(root + np.column_stack([side, t * reach * rng.uniform(0.8, 1.1)]))
    return paths


def _falling_lock(
    rng: np.random.Generator, plane: tuple, hair: Hair, light: Light
) -> tuple[np.ndarray, np.ndarray]:
    """Cover (h, w) and linear RGB (h, w, 3) of hair that comes down from above or from behind."""
    x, y = plane
    side, lean = rng.uniform(0.05, 0.4), rng.normal(0.0, 0.25)
    if rng.random() < 0.6:
        lock = step(-(y - side - (x - 0.3) * rng.uniform(-0.6, 1.0)), -0.02, 0.05)
    else:
        lock = step(-(x - side * 0.8 - lean * (y - 0.5)), -0.02, 0.05)
    texture, strands = hair_texture(rng, x, y, hair, light, rng.uniform(1.2, 2.4))
    return np.clip(lock + (lock > 0) * (lock < 1) * np.float32(0.4) * strands, 0, 1), texture


def _vignette(shape: tuple[int, int]) -> np.ndarray:
    rows = step(0.5 - np.abs(np.linspace(-0.5, 0.5, shape[0], dtype=np.float32)), 0, 0.2)
    columns = step(0.5 - np.abs(np.linspace(-0.5, 0.5, shape[1], dtype=np.float32)), 0, 0.2)
    return rows[:, None] * columns
