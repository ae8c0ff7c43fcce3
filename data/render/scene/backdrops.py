"""What stands behind people: graded walls, bricks, foliage, lights out of focus, shelves, windows."""

import cv2
import numpy as np

from data.render.paint.blending import to_fixed
from data.render.paint.colours import shaded, some_colour
from data.render.paint.noise import field, grain


def paint_backdrop(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A background (h, w, 3) uint8 sRGB."""
    image = _graded(rng, shape)
    kind = rng.random()
    if kind < 0.55:
        ((_bricks, _foliage, _lights, _shelves, _window, _planks)[rng.integers(6)])(rng, image)
    if rng.random() < 0.3:  # plaster, asphalt, fabric
        rough = grain(rng, shape, rng.uniform(0.5, 2)) * rng.uniform(3, 18)
        image = np.clip(image + rough[..., None], 0, 255).astype(np.uint8)
    return image


def _graded(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    first, second = some_colour(rng), some_colour(rng)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = shape
    ramp = np.linspace(0, 1, columns, dtype=np.float32) * np.cos(angle) + np.linspace(
        0, 1, rows, dtype=np.float32
    )[:, None] * np.sin(angle)
    mix = (ramp - ramp.min()) / np.ptp(ramp) * rng.uniform(0.1, 1)
    if rng.random() < 0.4:
        mix = mix + 0.25 * field(rng, shape, rng.uniform(2, 30), 3) * rng.uniform(0.2, 1)
    mix = np.clip(mix, 0, 1)[..., None]
    return np.clip(np.float32(first) * (1 - mix) + np.float32(second) * mix, 0, 255).astype(np.uint8)


def _bricks(rng: np.random.Generator, image: np.ndarray) -> None:
    rows, columns = image.shape[:2]
    tall = max(int(rows * rng.uniform(0.03, 0.12)), 4)
    wide, gap = int(tall * rng.uniform(1, 3)), max(tall // 10, 1)
    colour, spread = some_colour(rng), rng.uniform(0.02, 0.2)
    for number, top in enumerate(range(0, rows, tall)):
        for left in range(-(number % 2) * wide // 2, columns, wide):
            tone = shaded(colour, rng.normal(1, spread))
            cv2.rectangle(image, (left + gap, top + gap), (left + wide - gap, top + tall - gap), tone, -1)


def _foliage(rng: np.random.Generator, image: np.ndarray) -> None:
    rows, columns = image.shape[:2]
    green = np.array([rng.uniform(30, 130), rng.uniform(70, 160), rng.uniform(20, 80)])
    size = rows * rng.uniform(0.01, 0.05)
    count = int(min(rng.uniform(150, 420), 0.6 * rows * columns / size**2))
    for by in np.linspace(0.3, 1.3, count):
        at = rng.uniform(0, 1, 2) * (columns, rows)
        axes = size * np.array([rng.uniform(0.25, 0.6), 1]) * rng.uniform(0.6, 1.6)
        tone = tuple(int(v) for v in np.clip(green * by * rng.uniform(0.8, 1.2, 3), 0, 255))
        turn = float(rng.uniform(0, 180))
        cv2.ellipse(
            image,
            tuple(map(int, to_fixed(at))),
            tuple(map(int, to_fixed(axes))),
            turn,
            0,
            360,
            tone,
            -1,
            8,
            4,
        )


def _lights(rng: np.random.Generator, image: np.ndarray) -> None:
    """Lights far out of focus."""
    rows, columns = image.shape[:2]
    size = rows * rng.uniform(0.01, 0.08)
    image[:] = (image * rng.uniform(0.15, 0.7)).astype(np.uint8)
    for _ in range(int(rng.integers(10, 50))):
        at = tuple(int(v) for v in rng.uniform(0, 1, 2) * (columns, rows))
        disc = np.zeros_like(image)
        radius = max(int(size * rng.uniform(0.5, 1.5)), 2)
        warm = np.array([255, rng.uniform(120, 250), rng.uniform(40, 230)]) * rng.uniform(0.2, 0.9)
        left, top = max(at[0] - radius - 2, 0), max(at[1] - radius - 2, 0)
        part = image[top : at[1] + radius + 2, left : at[0] + radius + 2]
        disc = np.zeros_like(part)
        cv2.circle(disc, (at[0] - left, at[1] - top), radius, warm.tolist(), -1, cv2.LINE_AA)
        part[:] = cv2.add(part, disc)


def _shelves(rng: np.random.Generator, image: np.ndarray) -> None:
    rows, columns = image.shape[:2]
    tall = int(rows * rng.uniform(0.12, 0.35))
    for top in range(int(rng.uniform(-tall, 0)), rows, tall):
        left = 0
        while left < columns:
            wide = max(int(tall * rng.uniform(0.06, 0.3)), 2)
            low = top + int(tall * rng.uniform(0.1, 0.35))
            cv2.rectangle(image, (left, low), (left + wide - 1, top + tall), some_colour(rng), -1)
            left += wide
        cv2.rectangle(image, (0, top + tall - tall // 14), (columns, top + tall), some_colour(rng), -1)


def _window(rng: np.random.Generator, image: np.ndarray) -> None:
    """A bright window with its bars."""
    rows, columns = image.shape[:2]
    left, top = (rng.uniform(-0.1, 0.5, 2) * (columns, rows)).astype(int)
    right, bottom = (left + columns * rng.uniform(0.3, 0.8), top + rows * rng.uniform(0.4, 0.9))
    right, bottom = int(right), int(bottom)
    light = tuple(int(v) for v in rng.uniform(190, 255, 3))
    cv2.rectangle(image, (int(left), int(top)), (right, bottom), light, -1)
    bar, thick = some_colour(rng), max(int(columns * rng.uniform(0.005, 0.025)), 1)
    for share in np.linspace(0, 1, int(rng.integers(2, 5))):
        across, down = int(left + share * (right - left)), int(top + share * (bottom - top))
        cv2.line(image, (across, int(top)), (across, bottom), bar, thick)
        cv2.line(image, (int(left), down), (right, down), bar, thick)


def _planks(rng: np.random.Generator, image: np.ndarray) -> None:
    """Boards or a striped curtain."""
    rows, columns = image.shape[:2]
    wide = max(int(columns * rng.uniform(0.02, 0.15)), 3)
    colour, spread = some_colour(rng), rng.uniform(0.03, 0.25)
    for left in range(0, columns, wide):
        cv2.rectangle(image, (left, 0), (left + wide, rows), shaded(colour, rng.normal(1, spread)), -1)
        cv2.line(image, (left, 0), (left, rows), shaded(colour, 0.5), max(wide // 20, 1))
