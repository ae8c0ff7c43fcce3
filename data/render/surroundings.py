"""What stands round an ear: cheek, neck, hair and the background behind the head."""

import cv2
import numpy as np

from data.render.curves import spline
from data.render.hair import Hair, hair_texture
from data.render.noise import field, grain
from data.render.skin import Light, Skin, surface_shade


def paint_surroundings(rng: np.random.Generator, plane: tuple[np.ndarray, np.ndarray], skin: Skin, hair: Hair,
                       light: Light, scale_px: float, to_px) -> np.ndarray:
    """Linear RGB (h, w, 3) of everything but the ear, over the plane coordinates of each pixel (ear heights)."""
    x, y = plane
    image = background(rng, x.shape, light)
    head, edge = _head_cover(rng, x, y, hair)
    image = _over(image, _cheek(rng, x, y, skin, light, edge), head)
    return comb_hair(rng, image, plane, hair, light, scale_px, to_px, head)


def comb_hair(rng: np.random.Generator, image: np.ndarray, plane: tuple, hair: Hair, light: Light, scale_px: float,
              to_px, head: np.ndarray) -> np.ndarray:
    """Image with the hair above and behind the ear; `head` (h, w) is where short hair may grow."""
    if hair.style == "bald":
        return image
    x, y = plane
    cover, angle = _hair_cover(rng, x, y, hair, to_px)
    cover = cover * (np.maximum(head, _step(y, 3, 4)) if hair.style == "long" else head)
    texture, strands = hair_texture(rng, x, y, hair, light, angle)
    ragged = rng.uniform(.06, .26)
    fringe = _step(cover + ragged * strands * (cover > .02) * (cover < .98), .2, .8)
    if hair.style == "buzz":
        fringe = fringe * np.clip(.55 + .12 * grain(rng, x.shape, .7), 0, 1)
    shadow = cv2.GaussianBlur(fringe, (0, 0), .03 * scale_px)
    return _over(image * (1 - .35 * shadow[..., None]), texture, fringe)


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
    # Cheekbone and temple turn forwards, the bone behind the ear turns back, the jaw turns down.
    turn_x, turn_y = np.clip(.55 * (x - .45), -.75, .75), np.clip(.45 * (y - .3), -.5, .6)
    turn_x = turn_x - .8 * _step(-edge, -.4, 0)
    length = np.sqrt(1 + turn_x**2 + turn_y**2)
    shade = surface_shade(light, (turn_x * light.direction[0] + turn_y * light.direction[1] + light.direction[2]) / length)
    blood = skin.redness * (.18 * field(rng, shape, 4, 2) + .06)
    mottle = 1 + np.float32(.03 * skin.texture) * field(rng, shape, 34, 2) + .06 * field(rng, shape, 2, 1)
    albedo = skin.albedo * np.exp(-blood[..., None] * np.array([.10, .42, .36], np.float32)) * mottle[..., None]
    # The jaw turns away below and behind the lobe; the neck under it lies in its shade.
    jaw = x - .75 + 1.1 * (y - 1.05)
    neck = _step(-jaw, -.05, .12) * _step(y, .75, 1.1) * rng.uniform(.1, .5)
    return (albedo * shade * (1 - neck)[..., None]).astype(np.float32)


def _hair_cover(rng, x, y, hair: Hair, to_px) -> tuple[np.ndarray, float]:
    """Cover of the hair above and behind the ear (h, w) and the angle it flows along."""
    nape = {"short": rng.uniform(.4, 1.0), "buzz": rng.uniform(.5, 1.0), "tied": rng.uniform(.35, .8), "long": 2.6}[hair.style]
    burn_x, burn_y = rng.uniform(.74, .90), rng.uniform(.08, .38)
    if hair.style in ("short", "buzz"):
        burn_y = rng.choice([rng.uniform(.25, .6), rng.uniform(.6, 1.3)], p=[.75, .25])
    wide = rng.uniform(.05, .13)
    temple = rng.uniform(-.35, .0)
    behind = rng.uniform(.10, .30) + (.1 if hair.style == "long" else 0)
    line = np.array([(3.2, -1.25), (1.9, -.9), (1.35, temple - .2), (burn_x + wide + .1, temple + .16),
                     (burn_x + wide, burn_y - .1), (burn_x + wide * .5, burn_y), (burn_x, burn_y - .12), (burn_x - .06, .12),
                     (.6, .06), (.35, .05), (behind, .2), (behind + .02, min(nape - .15, .6)), (behind - .08, nape),
                     (-.5, nape + rng.uniform(.0, .3)), (-2, nape + .2), (-3, -3), (3, -3)])
    line[:12] += rng.normal(0, .015, (12, 2))
    mask = np.zeros(x.shape, np.uint8)
    cv2.fillPoly(mask, np.round(to_px(spline(line, closed=True)) * 16).astype(np.int32)[None], 255, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), rng.uniform(.012, .035) * abs(to_px(np.eye(2))[0, 0] - to_px(np.zeros((1, 2)))[0, 0]) + .5)
    angle = {"short": rng.uniform(1.6, 2.6), "buzz": rng.uniform(1.6, 2.6), "long": rng.uniform(1.3, 2.0),
             "tied": rng.uniform(2.6, 3.4)}[hair.style]
    return soft, angle


def _over(below: np.ndarray, above: np.ndarray, cover: np.ndarray) -> np.ndarray:
    cover = np.asarray(cover, np.float32)[..., None]
    return below + (above - below) * cover


def _step(values, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
