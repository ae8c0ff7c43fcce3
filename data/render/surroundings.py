"""What stands round an ear: cheek, neck, hair and the background behind the head."""

import cv2
import numpy as np

from data.render.hair import Hair, hair_texture
from data.render.noise import field
from data.render.skin import Light, Skin, flat_shade


def paint_surroundings(rng: np.random.Generator, plane: tuple[np.ndarray, np.ndarray], skin: Skin, hair: Hair,
                       light: Light, scale_px: float) -> np.ndarray:
    """Linear RGB (h, w, 3) of everything but the ear, over the plane coordinates of each pixel (ear heights)."""
    x, y = plane
    image = background(rng, x.shape, light)
    head, edge = _head_cover(rng, x, y, hair)
    image = _over(image, _cheek(rng, x, y, skin, light, edge), head)
    cover, angle = _hair_cover(rng, x, y, hair, head)
    if hair.style == "bald" and cover.max() <= 0:
        return image
    texture, strands = hair_texture(rng, x, y, hair, light, angle)
    fringe = np.clip(cover + (cover > 0) * (cover < 1) * .35 * strands, 0, 1)
    shadow = cv2.GaussianBlur(fringe, (0, 0), .03 * scale_px)
    image = image * (1 - .35 * shadow[..., None])
    return _over(image, texture, fringe)


def background(rng: np.random.Generator, shape: tuple[int, int], light: Light) -> np.ndarray:
    """A plain, graded or blurred background, linear RGB (h, w, 3)."""
    colour = rng.choice([0, 1, 2], p=[.3, .25, .45])
    if colour == 0:
        base = np.array([.8, .8, .8]) * rng.uniform(.7, 1.3)
    elif colour == 1:
        base = np.full(3, rng.uniform(.005, .05)) * rng.uniform(.8, 1.2, 3)
    else:
        base = rng.uniform(.03, .55) * np.exp(rng.normal(0, .35, 3))
    rows, columns = shape
    tilt = rng.normal(0, .35, 2)
    ramp = 1 + tilt[0] * np.linspace(-.5, .5, columns, dtype=np.float32) + tilt[1] * np.linspace(-.5, .5, rows, dtype=np.float32)[:, None]
    image = ramp[..., None] * base.astype(np.float32)
    if colour == 2:
        other = rng.uniform(.02, .6) * np.exp(rng.normal(0, .5, 3)).astype(np.float32)
        mix = 1 / (1 + np.exp(-3 * field(rng, shape, rng.uniform(1, 6), 2) * rng.uniform(.3, 2)))
        image = _over(image, other, mix)
    return np.maximum(image, 0).astype(np.float32)


def _head_cover(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, hair: Hair) -> tuple[np.ndarray, np.ndarray]:
    """Cover of the head with its neck (h, w), and the distance to its back edge in ear heights."""
    back = rng.choice([-1.6, -.25, .12], p=[.5, .2, .3]) + rng.normal(0, .12)
    curve = back + .25 * np.square(np.maximum(.3 - y, 0)) + np.where(y > .7, .35 * np.square(y - .7), 0) * (back > -1)
    edge = x - curve + .01 * field(rng, x.shape, 4)
    return _step(edge, -.012, .012), edge


def _cheek(rng, x, y, skin: Skin, light: Light, edge: np.ndarray) -> np.ndarray:
    """Skin of cheek, neck and the hollow behind the ear, linear RGB."""
    shape = x.shape
    facing = 1 - .35 * _step(-edge, -.5, 0) - .25 * _step(x, .9, 1.9)
    shade = flat_shade(light, facing)
    blood = skin.redness * (.18 * field(rng, shape, 4, 2) + .12)
    mottle = 1 + np.float32(.03 * skin.texture) * field(rng, shape, 34, 2) + .06 * field(rng, shape, 2, 1)
    albedo = skin.albedo * np.exp(-blood[..., None] * np.array([.10, .42, .36], np.float32)) * mottle[..., None]
    # The jaw turns away below and behind the lobe; the neck under it lies in its shade.
    jaw = x - .75 + 1.1 * (y - 1.05)
    neck = _step(-jaw, -.05, .12) * _step(y, .75, 1.1) * rng.uniform(.1, .5)
    return (albedo * shade * (1 - neck)[..., None]).astype(np.float32)


def _hair_cover(rng, x, y, hair: Hair, head: np.ndarray) -> tuple[np.ndarray, float]:
    """Cover of the hair behind and above the ear (h, w) and the angle it flows along."""
    wobble = .05 * field(rng, x.shape, 5, 2)
    if hair.style == "bald":
        return np.zeros_like(x), 0.0
    if hair.style == "short":
        nape = rng.uniform(.35, .95)
        above = _step(-(y - .10 + .30 * np.clip(x - .6, 0, 1.2) * rng.uniform(-.3, 1) + wobble), -.02, .06)
        behind = _step(-(x - .22 - .2 * (y - .3) + wobble), -.02, .06) * _step(-(y - nape + wobble), -.05, .10)
        burn = _step(-np.abs(x - rng.uniform(.78, .95)) + rng.uniform(.06, .16) + wobble * .5, -.02, .05) * _step(-(y - rng.uniform(.15, .62)), -.06, .06)
        cover, angle = np.maximum(np.maximum(above, behind), burn), rng.uniform(1.3, 2.2)
    elif hair.style == "long":
        side = rng.uniform(.1, .45)
        cover = np.maximum(_step(-(x - side - .1 * (y - .5) + wobble), -.02, .05), _step(-(y + .02 - .3 * (x - .5) + wobble), -.02, .06))
        angle = rng.uniform(1.2, 2.0)
    else:
        slope = rng.uniform(-.15, .5)
        cover = _step(-(y - .12 - slope * (.5 - x) + wobble), -.02, .06) * _step(-(y - rng.uniform(.4, .8) + wobble), -.05, .1)
        angle = rng.uniform(2.6, 3.4)
    outside = head if hair.style != "long" else np.maximum(head, _step(x, -2.0, -1.9))
    return (cover * outside).astype(np.float32), angle


def _over(below: np.ndarray, above: np.ndarray, cover: np.ndarray) -> np.ndarray:
    cover = np.asarray(cover, np.float32)[..., None]
    return below + (above - below) * cover


def _step(values, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
