"""Hair: a flowing texture, and single strands."""

from dataclasses import dataclass

import cv2
import numpy as np

from data.render.paint.blending import to_fixed
from data.render.paint.light import Light, linear
from data.render.paint.noise import field

# sRGB: black, dark brown, brown, light brown, blond, red, grey, white.
_COLOURS = np.array(
    [
        (24, 20, 19),
        (46, 33, 26),
        (78, 54, 38),
        (120, 88, 60),
        (190, 155, 105),
        (140, 72, 40),
        (120, 116, 112),
        (200, 196, 190),
    ],
    np.float32,
)
_SHARES = np.array([0.26, 0.22, 0.17, 0.10, 0.10, 0.05, 0.06, 0.04])


@dataclass(frozen=True)
class Hair:
    """An identity's hair. `style`: short, buzz, long, tied (pulled back) or bald; `colour` (3,) linear."""

    style: str
    colour: np.ndarray
    coarseness: float


def draw_hair(rng: np.random.Generator, skin_depth: float) -> Hair:
    """Hair of any colour on light skin, mostly black or grey on dark skin (`skin_depth` 0..1)."""
    style = str(rng.choice(["short", "buzz", "long", "tied", "bald"], p=[0.36, 0.12, 0.26, 0.2, 0.06]))
    shares = _SHARES * np.where(
        np.isin(np.arange(len(_SHARES)), (0, 1, 6, 7)), 1, max(1 - 1.7 * skin_depth, 0.05)
    )
    colour = _COLOURS[rng.choice(len(_COLOURS), p=shares / shares.sum())] * np.exp(
        rng.normal(0, 0.12)
    ) + rng.normal(0, 3, 3)
    return Hair(style, linear(np.clip(colour, 8, 235)), rng.uniform(0.6, 1.6))


def hair_texture(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, hair: Hair, light: Light, angle: float
) -> tuple[np.ndarray, np.ndarray]:
    """Linear RGB (h, w, 3) of hair flowing along `angle` over x, y (ear heights), and its strand noise."""
    shape = x.shape
    bend = rng.normal(0, 0.3)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = x * cosine + y * sine, y * cosine - x * sine
    across = across + bend * along**2 * 0.5 + 0.05 * field(rng, shape, 3, 2)
    strands = np.zeros(shape, np.float32)
    for width, amount in ((0.007, 0.35), (0.017, 0.5), (0.045, 0.45), (0.12, 0.35)):
        strands += amount * _streaks(rng, along, across, width * hair.coarseness)
    gloss = np.exp(-np.square((along - rng.uniform(-0.6, 0.8)) / rng.uniform(0.15, 0.5))) * rng.uniform(
        0, 0.9
    )
    shine = np.exp(0.36 * strands + 0.22 * field(rng, shape, 4, 2)) * (0.45 + 0.45 * light.direction[2])
    colour = hair.colour * shine[..., None]
    colour = colour + (gloss * np.clip(strands + 0.6, 0, None) * 0.10)[..., None] * (hair.colour + 0.12)
    return (colour * light.colour * 1.1).astype(np.float32), strands


def _streaks(rng: np.random.Generator, along: np.ndarray, across: np.ndarray, width: float) -> np.ndarray:
    """Noise drawn out along the strands; the table wraps round."""
    table = rng.standard_normal((16, 256), dtype=np.float32)
    map_x = np.mod(across / width + 512, 255).astype(np.float32)
    map_y = np.mod(along * 1.6 + 64, 15).astype(np.float32)
    return cv2.remap(table, map_x, map_y, cv2.INTER_LINEAR)


def draw_strands(
    rng: np.random.Generator, shape: tuple[int, int], paths: list[np.ndarray], width_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cover (h, w) of thin strands along the px paths, and a brightness of each."""
    cover = np.zeros(shape, np.uint8)
    tone = np.full(shape, 128, np.uint8)
    for path in paths:
        fixed = to_fixed(path)[None]
        weight = max(width_px * rng.uniform(0.6, 1.4), 0.3)
        strength = int(255 * min(weight, 1) * rng.uniform(0.45, 0.9))
        thickness = max(int(round(weight)), 1)
        cv2.polylines(cover, fixed, False, strength, thickness, cv2.LINE_AA, 4)
        cv2.polylines(tone, fixed, False, int(rng.uniform(70, 220)), thickness + 1, cv2.LINE_AA, 4)
    return cover.astype(np.float32) / 255, tone.astype(np.float32) / 128
