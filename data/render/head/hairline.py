"""Where hair grows round an ear, and how it is laid there."""

import cv2
import numpy as np

from data.render.ear.camera import Camera
from data.render.head.hair import Hair, hair_texture
from data.render.paint.blending import over, step, to_fixed
from data.render.paint.curves import spline
from data.render.paint.light import Light
from data.render.paint.noise import grain


def comb_hair(
    rng: np.random.Generator,
    image: np.ndarray,
    plane: tuple,
    hair: Hair,
    light: Light,
    camera: Camera,
    head: np.ndarray,
) -> np.ndarray:
    """Image with the hair above and behind the ear; `head` (h, w) is where short hair may grow."""
    if hair.style == "bald":
        return image
    x, y = plane
    cover, angle = _hair_cover(rng, x.shape, hair, camera)
    cover = cover * (np.maximum(head, step(y, 3, 4)) if hair.style == "long" else head)
    texture, strands = hair_texture(rng, x, y, hair, light, angle)
    ragged = rng.uniform(0.10, 0.40)
    fringe = step(cover + ragged * strands * (cover > 0.02) * (cover < 0.98), 0.2, 0.8)
    if hair.style == "buzz":
        fringe = fringe * np.clip(0.55 + 0.12 * grain(rng, x.shape, 0.7), 0, 1)
    shadow = cv2.GaussianBlur(fringe, (0, 0), 0.03 * camera.scale)
    return over(image * (1 - 0.35 * shadow[..., None]), texture, fringe)


def _hair_cover(
    rng: np.random.Generator, shape: tuple[int, int], hair: Hair, camera: Camera
) -> tuple[np.ndarray, float]:
    """Cover of the hair above and behind the ear (h, w) and the angle it flows along."""
    nape = {
        "short": rng.uniform(0.4, 1.0),
        "buzz": rng.uniform(0.5, 1.0),
        "tied": rng.uniform(0.35, 0.8),
        "long": 2.6,
    }[hair.style]
    burn_x, burn_y = rng.uniform(0.68, 0.86), rng.uniform(0.10, 0.55)
    if hair.style in ("short", "buzz"):
        burn_y = rng.choice([rng.uniform(0.25, 0.6), rng.uniform(0.6, 1.3)], p=[0.75, 0.25])
    wide = rng.uniform(0.06, 0.22)
    temple = rng.uniform(-0.35, 0.0)
    behind = rng.uniform(0.10, 0.30) + (0.1 if hair.style == "long" else 0)
    line = np.array(
        [
            (3.2, -1.25),
            (1.9, -0.9),
            (1.35, temple - 0.2),
            (burn_x + wide + 0.1, temple + 0.16),
            (burn_x + wide, burn_y - 0.1),
            (burn_x + wide * 0.5, burn_y),
            (burn_x, burn_y - 0.12),
            (burn_x - 0.06, 0.12),
            (0.6, 0.06),
            (0.35, 0.05),
            (behind, 0.2),
            (behind + 0.02, min(nape - 0.15, 0.6)),
            (behind - 0.08, nape),
            (-0.5, nape + rng.uniform(0.0, 0.3)),
            (-2, nape + 0.2),
            (-3, -3),
            (3, -3),
        ]
    )
    line[:12] += rng.normal(0, 0.015, (12, 2))
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, to_fixed(camera.project_plane(spline(line, closed=True)))[None], 255, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(
        mask.astype(np.float32) / 255, (0, 0), rng.uniform(0.015, 0.08) * camera.scale + 0.5
    )
    angle = {
        "short": rng.uniform(1.6, 2.6),
        "buzz": rng.uniform(1.6, 2.6),
        "long": rng.uniform(1.3, 2.0),
        "tied": rng.uniform(2.6, 3.4),
    }[hair.style]
    return soft, angle
