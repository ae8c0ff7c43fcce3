"""Backgrounds full of things, some of which look a little like ears."""

import cv2
import numpy as np

from data.render.blending import to_fixed
from data.render.noise import field
from data.render.skin import Light, linear

_TO_LINEAR = linear(np.arange(256))


def paint_clutter(rng: np.random.Generator, shape: tuple[int, int], light: Light) -> np.ndarray:
    """A room, street or wall without ears: linear RGB (h, w, 3)."""
    image = _backdrop(rng, shape)
    for _ in range(int(rng.integers(0, 9))):
        _DRAW[rng.integers(len(_DRAW))](rng, image)
    if rng.random() < 0.6:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 9) * max(shape) / 640)
    for _ in range(int(rng.integers(0, 6))):
        _DRAW[rng.integers(len(_DRAW))](rng, image)
    for _ in range(int(rng.integers(0, 3))):
        _EAR_LIKE[rng.integers(len(_EAR_LIKE))](rng, image)
    shading = np.exp(0.18 * field(rng, shape, 2, 2))
    return _TO_LINEAR[image] * shading[..., None] * light.colour


def _backdrop(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    first, second = _colour(rng), _colour(rng)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = shape
    ramp = np.linspace(0, 1, columns, dtype=np.float32) * np.cos(angle) + np.linspace(
        0, 1, rows, dtype=np.float32
    )[:, None] * np.sin(angle)
    mix = (ramp - ramp.min()) / np.ptp(ramp) * rng.uniform(0.1, 1)
    if rng.random() < 0.5:
        mix = mix + 0.25 * field(rng, shape, rng.uniform(2, 30), 3) * rng.uniform(0.2, 1)
    mix = np.clip(mix, 0, 1)[..., None]
    return np.clip(np.float32(first) * (1 - mix) + np.float32(second) * mix, 0, 255).astype(np.uint8)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    grey = rng.uniform(15, 245)
    return tuple(int(v) for v in np.clip(grey + rng.normal(0, 1, 3) * rng.uniform(2, 45), 0, 255))


def _skin_like(rng: np.random.Generator) -> tuple[int, int, int]:
    tone = np.array([225, 170, 140]) * rng.uniform(0.3, 1.05) + rng.normal(0, 12, 3)
    return tuple(int(v) for v in np.clip(tone, 0, 255))


def _place(
    rng: np.random.Generator, image: np.ndarray, low: float = 0.03, high: float = 0.5
) -> tuple[np.ndarray, float]:
    """A random centre (x, y) px and a size px."""
    rows, columns = image.shape[:2]
    return rng.uniform(0, 1, 2) * (columns, rows), rows * np.exp(rng.uniform(np.log(low), np.log(high)))


def _polygon(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = _place(rng, image)
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
    points = centre + size * rng.uniform(0.5, 1) * np.stack([np.cos(angles), np.sin(angles)], 1)
    cv2.fillPoly(image, to_fixed(points)[None], _colour(rng), cv2.LINE_AA, 4)


def _box(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = _place(rng, image)
    angle = rng.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (size * rng.uniform(0.3, 2), size)
    cv2.fillPoly(image, to_fixed(corners @ turn.T + centre)[None], _colour(rng), cv2.LINE_AA, 4)
    if rng.random() < 0.4:
        cv2.polylines(
            image, to_fixed(corners * 0.85 @ turn.T + centre)[None], True, _colour(rng), 2, cv2.LINE_AA, 4
        )


def _oval(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = _place(rng, image, 0.02, 0.35)
    colour = _skin_like(rng) if rng.random() < 0.35 else _colour(rng)
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
    centre, size = _place(rng, image, 0.1, 0.6)
    colour, gap = _colour(rng), size * rng.uniform(0.05, 0.2)
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
    centre, size = _place(rng, image, 0.1, 0.5)
    top, left = np.maximum((centre - size)[::-1].astype(int), 0)
    bottom, right = np.minimum((centre + size)[::-1].astype(int), image.shape[:2])
    if bottom - top < 8 or right - left < 8:
        return
    part = image[top:bottom, left:right].astype(np.float32)
    folds = field(rng, part.shape[:2], rng.uniform(3, 14), 3)[..., None]
    image[top:bottom, left:right] = np.clip(
        np.float32(_colour(rng)) * np.exp(0.25 * folds) * 0.8 + part * 0.2, 0, 255
    )


def _ring(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = _place(rng, image, 0.02, 0.2)
    colour = _skin_like(rng) if rng.random() < 0.5 else _colour(rng)
    turn = rng.uniform(0, 180)
    axes = size * np.array([rng.uniform(0.45, 0.9), 1])
    thickness = max(int(size * rng.uniform(0.1, 0.4)), 1)
    dark = tuple(int(v * 0.65) for v in colour)
    for shade, wide in ((dark, thickness + max(thickness // 2, 1)), (colour, thickness)):
        cv2.ellipse(
            image,
            tuple(map(int, to_fixed(centre))),
            tuple(map(int, to_fixed(axes))),
            turn,
            0,
            360,
            shade,
            wide,
            cv2.LINE_AA,
            4,
        )


def _spiral(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = _place(rng, image, 0.03, 0.2)
    colour = _skin_like(rng) if rng.random() < 0.5 else _colour(rng)
    t = np.linspace(0.15, 1, 70)
    angle = 2 * np.pi * t * rng.uniform(1.2, 3) * rng.choice([-1, 1]) + rng.uniform(0, 6)
    path = centre + size * t[:, None] * np.stack([np.cos(angle) * rng.uniform(0.5, 1), np.sin(angle)], 1)
    dark = tuple(int(v * 0.6) for v in colour)
    wide = max(int(size * rng.uniform(0.06, 0.2)), 1)
    cv2.polylines(image, to_fixed(path)[None], False, dark, wide * 2, cv2.LINE_AA, 4)
    cv2.polylines(image, to_fixed(path)[None], False, colour, wide, cv2.LINE_AA, 4)


def _handle(rng: np.random.Generator, image: np.ndarray) -> None:
    """A mug's handle, a croissant, a headphone: a thick bow with an inner shade."""
    centre, size = _place(rng, image, 0.03, 0.22)
    colour = _skin_like(rng) if rng.random() < 0.6 else _colour(rng)
    start, turn = rng.uniform(0, 360), rng.uniform(0, 180)
    axes = size * np.array([rng.uniform(0.4, 0.8), 1])
    for ratio, shade, wide in ((1, 0.6, 0.5), (1, 0.95, 0.38), (0.93, 1.1, 0.14)):
        tone = tuple(int(min(v * shade, 255)) for v in colour)
        cv2.ellipse(
            image,
            tuple(map(int, to_fixed(centre))),
            tuple(map(int, to_fixed(axes * ratio))),
            turn,
            start,
            start + rng.uniform(170, 300),
            tone,
            max(int(size * wide), 1),
            cv2.LINE_AA,
            4,
        )


def _fist(rng: np.random.Generator, image: np.ndarray) -> None:
    """Fingers side by side."""
    centre, size = _place(rng, image, 0.03, 0.2)
    colour = _skin_like(rng)
    along = np.array([np.cos(a := rng.uniform(0, 6.3)), np.sin(a)])
    across = along[::-1] * (1, -1)
    for finger in range(4):
        root = centre + across * size * 0.42 * finger
        tip = root + along * size * rng.uniform(0.8, 1.5)
        for ratio, shade in ((0.46, 0.6), (0.38, 0.95), (0.16, 1.08)):
            tone = tuple(int(min(v * shade, 255)) for v in colour)
            cv2.line(
                image,
                *(tuple(map(int, to_fixed(end))) for end in (root, tip)),
                tone,
                max(int(size * ratio), 1),
                cv2.LINE_AA,
                4,
            )


_DRAW = (_polygon, _box, _box, _oval, _stripes, _cloth, _cloth)
_EAR_LIKE = (_ring, _spiral, _handle, _fist, _oval)
