"""Things whose curves look like ears and are none: rings, spirals, shells, cups, rolls, croissants."""

import cv2
import numpy as np

from data.render.paint.blending import to_fixed
from data.render.paint.colours import place, shaded, skin_like, some_colour
from data.render.paint.lettering import draw_letter


def _ring(rng: np.random.Generator, image: np.ndarray) -> None:
    centre, size = place(rng, image, 0.02, 0.2)
    colour = skin_like(rng) if rng.random() < 0.5 else some_colour(rng)
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
    centre, size = place(rng, image, 0.03, 0.2)
    colour = skin_like(rng) if rng.random() < 0.5 else some_colour(rng)
    t = np.linspace(0.15, 1, 70)
    angle = 2 * np.pi * t * rng.uniform(1.2, 3) * rng.choice([-1, 1]) + rng.uniform(0, 6)
    path = centre + size * t[:, None] * np.stack([np.cos(angle) * rng.uniform(0.5, 1), np.sin(angle)], 1)
    dark = tuple(int(v * 0.6) for v in colour)
    wide = max(int(size * rng.uniform(0.06, 0.2)), 1)
    cv2.polylines(image, to_fixed(path)[None], False, dark, wide * 2, cv2.LINE_AA, 4)
    cv2.polylines(image, to_fixed(path)[None], False, colour, wide, cv2.LINE_AA, 4)


def _handle(rng: np.random.Generator, image: np.ndarray) -> None:
    """A mug's handle, a croissant, a headphone: a thick bow with an inner shade."""
    centre, size = place(rng, image, 0.03, 0.22)
    colour = skin_like(rng) if rng.random() < 0.6 else some_colour(rng)
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


def _shell(rng: np.random.Generator, image: np.ndarray) -> None:
    """A fan of ribs round a point, lighter on the ridges."""
    centre, size = place(rng, image, 0.04, 0.25)
    colour = _either(rng)
    turn, spread = rng.uniform(0, 6.3), rng.uniform(0.6, 1.4)
    angle = np.linspace(-spread, spread, 20) + turn
    ripple = 1 + 0.05 * np.cos(np.linspace(0, 40, 20))
    rim = centre + size * np.column_stack([np.cos(angle), np.sin(angle)]) * ripple[:, None]
    cv2.fillPoly(image, to_fixed(np.vstack([centre, rim]))[None], shaded(colour, 0.7), cv2.LINE_AA, 4)
    wide = max(int(size * 0.06), 1)
    for end in rim[::2]:
        _line(image, np.stack([centre, end]), shaded(colour, 1.1), wide)
    for ratio in (0.55, 0.75, 0.9):
        _line(image, centre + (rim - centre) * ratio, shaded(colour, 0.85), max(wide // 3, 1))


def _cup(rng: np.random.Generator, image: np.ndarray) -> None:
    """A cup with a handle at its side."""
    centre, size = place(rng, image, 0.04, 0.25)
    colour, side = some_colour(rng), rng.choice([-1, 1])
    wide, taper = size * rng.uniform(0.5, 0.9), rng.uniform(0.6, 1)
    angle = np.linspace(-1.5, 1.5, 14)
    bow = np.column_stack([side * (wide + 0.45 * size * np.cos(angle)), 0.55 * size * np.sin(angle)])
    for by, thick in ((0.55, 0.26), (0.95, 0.18), (1.2, 0.06)):
        _line(image, centre + bow, shaded(colour, by), max(int(size * thick), 1))
    body = np.array([(-wide, -size), (wide, -size), (wide * taper, size), (-wide * taper, size)])
    for step in range(5):
        inner = body * (1 - 0.2 * step, 1) + (-0.1 * wide * step, 0)
        tone = shaded(colour, 0.7 + 0.08 * step)
        cv2.fillPoly(image, to_fixed(centre + inner)[None], tone, cv2.LINE_AA, 4)
    axes = tuple(map(int, to_fixed((wide, 0.22 * size))))
    top = tuple(map(int, to_fixed(centre - (0, size))))
    cv2.ellipse(image, top, axes, 0, 0, 360, shaded(colour, 0.4), -1, cv2.LINE_AA, 4)


def _croissant(rng: np.random.Generator, image: np.ndarray) -> None:
    """A crescent of rolls, thick in the middle."""
    centre, size = place(rng, image, 0.04, 0.22)
    colour, start = _either(rng), rng.uniform(0, 6.3)
    for angle in start + np.linspace(0, rng.uniform(2, 3.6), 9):
        thick = 0.16 + 0.2 * np.sin((angle - start) / 3.6 * np.pi)
        at = centre + size * np.array([np.cos(angle), np.sin(angle)])
        for ratio, by in ((1.0, 0.6), (0.85, 0.9), (0.45, 1.1)):
            axes = tuple(map(int, to_fixed(size * ratio * np.array([1.5 * thick, 0.16]))))
            turn = float(np.degrees(angle))
            cv2.ellipse(
                image,
                tuple(map(int, to_fixed(at))),
                axes,
                turn,
                0,
                360,
                shaded(colour, by),
                -1,
                cv2.LINE_AA,
                4,
            )


def _roll(rng: np.random.Generator, image: np.ndarray) -> None:
    """A roll of cloth, paper or dough seen from its end: layers round a hollow."""
    centre, size = place(rng, image, 0.03, 0.18)
    colour = _either(rng)
    axes = np.array([rng.uniform(0.55, 1), 1]) * size
    turn = rng.uniform(0, 180)
    for ratio in np.linspace(1, 0.15, int(rng.integers(4, 9))):
        for grow, by in ((1.0, 0.6), (0.92, rng.uniform(0.9, 1.15))):
            at = centre + (1 - ratio) * size * 0.12
            cv2.ellipse(
                image,
                tuple(map(int, to_fixed(at))),
                tuple(map(int, to_fixed(axes * ratio * grow))),
                turn,
                0,
                360,
                shaded(colour, by),
                -1,
                cv2.LINE_AA,
                4,
            )


def _either(rng: np.random.Generator) -> tuple[int, int, int]:
    return skin_like(rng) if rng.random() < 0.5 else some_colour(rng)


def _line(image: np.ndarray, path: np.ndarray, colour: tuple[int, int, int], thick: int) -> None:
    cv2.polylines(image, to_fixed(path)[None], False, colour, thick, cv2.LINE_AA, 4)


EAR_LIKE = (_ring, _spiral, _handle, _shell, _cup, _croissant, _roll, draw_letter)
