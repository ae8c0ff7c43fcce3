"""Hats, caps, headscarves and face masks, as far as they come near an ear."""

import numpy as np

from data.render.head.face_map import FaceMap
from data.render.head.outfit import Outfit
from data.render.paint.brush import Brush
from data.render.paint.curves import spline
from data.render.paint.light import Light, lit

# How far a hat's edge bends down towards both ends.
_BOW = 0.03


def wear_hat(
    rng: np.random.Generator, brush: Brush, unit: float, to_px, ear_x: float, colour, light: Light
) -> None:
    """A cap or woollen hat whose edge runs over the top of the ear or above it, in place.

    `to_px` brings places of a hat (x from -2.4 to 2.6 across the head, ear heights down) to px; the ear is at
    `ear_x`.
    """
    low = rng.uniform(-0.30, 0.18)
    tilt = rng.normal(-0.12, 0.08)
    x = np.linspace(-2.4, 2.6, 12)
    edge = np.column_stack([x, low + tilt * (x - ear_x) + _BOW * (x**2 - ear_x**2)])
    dome = np.array([(2.7, -1.2), (1.6, -2.3), (0.3, -2.6), (-1.2, -2.2), (-2.4, -1.0)])
    cloth = lit(colour, light)
    brush.stroke(to_px(edge + (0, 0.03)), 0.5, 0.08 * unit, 0.05 * unit, 0.8, tint=True)
    brush.fill(to_px(np.concatenate([edge, dome])), cloth, 0.008 * unit)
    band = rng.uniform(0.12, 0.5)
    brush.stroke(to_px(edge - (0, band)), 0.6, 0.03 * unit, 0.012 * unit, tint=True)
    if rng.random() < 0.6:  # knitted
        for rib in np.arange(-2.3, 2.5, rng.uniform(0.06, 0.14)):
            at = np.interp(rib, x, edge[:, 1])
            line = np.array([(rib, at), (rib, at - band)])
            brush.stroke(to_px(line), 0.75, 0.02 * unit, 0.008 * unit, tint=True)
    brush.stroke(to_px(edge - (0, 0.02)), 1.25, 0.02 * unit, 0.012 * unit, 0.6, tint=True)


def wear_scarf(rng: np.random.Generator, brush: Brush, unit: float, to_px, colour, light: Light) -> None:
    """A headscarf drawn back so far that only the rear of the ear is under it, in place.

    `to_px` brings points on the cheek plane (ear heights) to px, as for the loops of a mask.
    """
    front = rng.uniform(-0.05, 0.30)
    lean = rng.normal(0.1, 0.15)
    y = np.linspace(-2.4, 3.2, 12)
    edge = np.column_stack([front - lean * (y - 0.5) + 0.22 * np.square((y - 0.5) / 1.5) * (y < 0.5), y])
    back = np.array([(-3.2, 3.2), (-3.2, -2.4)])
    cloth = lit(colour, light)
    brush.stroke(to_px(edge + (0.03, 0)), 0.5, 0.08 * unit, 0.05 * unit, 0.8, tint=True)
    brush.fill(to_px(np.concatenate([edge, back])), cloth, 0.01 * unit)
    for _ in range(int(rng.integers(4, 10))):
        shift = rng.uniform(-1.6, -0.05)
        fold = edge + np.column_stack([shift + 0.15 * np.sin(y * rng.uniform(0.5, 1.5)), 0 * y])
        brush.stroke(to_px(fold), rng.choice([0.65, 1.3]), 0.05 * unit, 0.03 * unit, 0.8, tint=True)


def wear_loops(rng: np.random.Generator, brush: Brush, unit: float, to_px, light: Light) -> None:
    """The loop of a face mask, which comes over the cheek and goes behind the ear, in place."""
    upper = np.array([(1.5, 0.35), (0.95, 0.16), (0.74, 0.10), (0.62, 0.06), (0.52, 0.03)])
    lower = np.array([(1.5, 1.0), (1.2, 0.96), (0.9, 0.9), (0.66, 0.82)])
    wide = rng.uniform(0.02, 0.05) * unit
    thread = lit(rng.choice([0.02, 0.7]) * np.ones(3), light)
    for path in (upper, lower):
        path = spline(path + rng.normal(0, 0.015, 2), 6)
        brush.stroke(to_px(path + (0, 0.02)), 0.6, wide, 0.02 * unit, tint=True)
        brush.stroke(to_px(path), thread, wide)


def draw_mask(brush: Brush, face: FaceMap, outfit: Outfit, light: Light) -> None:
    """The sheet of a face mask over nose, mouth and chin, in place on the lit picture."""
    rng, unit = outfit.rng(), face.unit
    cloth = lit([np.array([0.25, 0.5, 0.65]), np.full(3, 0.75), outfit.colour][rng.integers(3)], light)
    side = np.linspace(-1, 1, 15)
    bulge = 1.04 + 0.22 * (1 - side**2)
    upper = face.to_px(side * 0.95, 0.28 - 0.2 * (1 - side**2), bulge)
    lower = face.to_px(side * 0.9, 1.05 + 0.42 * (1 - side**2), bulge)
    sheet = np.concatenate([upper, lower[::-1]])
    brush.fill(sheet, cloth * 0.85, 0.01 * unit)
    for row in (0.25, 0.5, 0.75):
        brush.stroke(upper * (1 - row) + lower * row, 0.8, 0.025 * unit, 0.012 * unit, tint=True)
    middle = face.to_px(side * 0.4, 0.6, bulge)
    brush.stroke(middle, 1.15, 0.4 * unit, 0.2 * unit, 0.8, tint=True)
