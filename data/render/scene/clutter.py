"""Backgrounds full of things, some of which look a little like ears."""

import cv2
import numpy as np

from data.render.head.hands import draw_hand
from data.render.paint.blending import to_fixed
from data.render.paint.brush import Brush
from data.render.paint.colours import place, skin_like, some_colour
from data.render.paint.lettering import draw_text
from data.render.paint.light import Light, linear
from data.render.paint.noise import field
from data.render.scene.backdrops import paint_backdrop
from data.render.scene.ear_like import EAR_LIKE

# Share of pictures with a hand that belongs to nobody in them.
_LOOSE_HAND = 0.2
_TO_LINEAR = linear(np.arange(256))


def paint_clutter(rng: np.random.Generator, shape: tuple[int, int], light: Light) -> np.ndarray:
    """A room, street or wall without ears: linear RGB (h, w, 3)."""
    image = paint_backdrop(rng, shape)
    for _ in range(int(rng.integers(0, 7))):
        _DRAW[rng.integers(len(_DRAW))](rng, image)
    if rng.random() < 0.6:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 9) * max(shape) / 640)
    for _ in range(int(rng.integers(0, 5))):
        _DRAW[rng.integers(len(_DRAW))](rng, image)
    for _ in range(int(rng.integers(0, 4))):
        EAR_LIKE[rng.integers(len(EAR_LIKE))](rng, image)
    shading = np.exp(0.18 * field(rng, shape, 2, 2))
    lit = (_TO_LINEAR[image] * shading[..., None] * light.colour).astype(np.float32)
    if rng.random() < _LOOSE_HAND:
        at, size = place(rng, image, 0.1, 0.6)
        albedo = linear(np.array(skin_like(rng)))
        draw_hand(rng, Brush(lit), at, size, rng.uniform(0, 2 * np.pi), albedo, light)
    return lit


def _polygon(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = place(rng, image)
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
    points = centre + size * rng.uniform(0.5, 1) * np.stack([np.cos(angles), np.sin(angles)], 1)
    cv2.fillPoly(image, to_fixed(points)[None], some_colour(rng), cv2.LINE_AA, 4)


def _box(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = place(rng, image)
    angle = rng.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (size * rng.uniform(0.3, 2), size)
    cv2.fillPoly(image, to_fixed(corners @ turn.T + centre)[None], some_colour(rng), cv2.LINE_AA, 4)
    if rng.random() < 0.4:
        cv2.polylines(
            image, to_fixed(corners * 0.85 @ turn.T + centre)[None], True, some_colour(rng), 2, cv2.LINE_AA, 4
        )


def _oval(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = place(rng, image, 0.02, 0.35)
    colour = skin_like(rng) if rng.random() < 0.35 else some_colour(rng)
    for step in range(6):  # rings of lighter colour towards one side, so that it looks round
        ratio = 1 - step / 7
        shade = tuple(int(min(v * (0.75 + 0.08 * step), 255)) for v in colour)
        at = centre - size * 0.18 * step / 6
        cv2.ellipse(
            image,
            tuple(map(int, to_fixed(at))),
            tuple(map(int, to_fixed(size * ratio * np.array([0.7, 1])))),
            0,
            0,
            360,
            shade,
            -1,
            cv2.LINE_AA,
            4,
        )


def _stripes(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = place(rng, image, 0.1, 0.6)
    colour, gap = some_colour(rng), size * rng.uniform(0.05, 0.2)
    along = np.array([np.cos(a := rng.uniform(0, np.pi)), np.sin(a)])
    across = along[::-1] * (1, -1)
    for step in range(-8, 9):
        ends = [centre + across * gap * step + along * size * side for side in (-1, 1)]
        cv2.line(
            image,
            *(tuple(map(int, to_fixed(end))) for end in ends),
            colour,
            max(int(gap * 0.35), 1),
            cv2.LINE_AA,
            4,
        )


def _cloth(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = place(rng, image, 0.1, 0.5)
    top, left = np.maximum((centre - size)[::-1].astype(int), 0)
    bottom, right = np.minimum((centre + size)[::-1].astype(int), image.shape[:2])
    if bottom - top < 8 or right - left < 8:
        return
    part = image[top:bottom, left:right].astype(np.float32)
    folds = field(rng, part.shape[:2], rng.uniform(3, 14), 3)[..., None]
    image[top:bottom, left:right] = np.clip(
        np.float32(some_colour(rng)) * np.exp(0.25 * folds) * 0.8 + part * 0.2, 0, 255
    )


_DRAW = (_polygon, _box, _box, _oval, _stripes, _cloth, draw_text)
