"""What is put into or behind an ear: earbuds with and without cable, hearing aids; and headphones over it."""

import numpy as np

from data.render.paint.brush import Brush, ellipse
from data.render.paint.light import Light, lit


def wear_earbud(
    rng: np.random.Generator, brush: Brush, unit: float, concha: np.ndarray, light: Light, down: np.ndarray
) -> None:
    """An earbud at the concha's px, in place; `down` (2,) is the picture's way down along the ear."""
    colour = lit(rng.choice([rng.uniform(0.008, 0.03), rng.uniform(0.5, 0.85)]) * np.ones(3), light)
    centre = concha + rng.normal(0, 0.015, 2) * unit
    radius = rng.uniform(0.065, 0.10)
    side = np.array([-down[1], down[0]])
    brush.disc(centre + down * 0.03 * unit, (1.3 * radius * unit,) * 2, 0.45, 0.05 * unit, tint=True)
    kind = rng.choice(["stem", "cable", "plug"], p=[0.5, 0.25, 0.25])
    if kind != "plug":
        slope = rng.normal(0.15, 0.12)
        length = rng.uniform(0.32, 0.5) if kind == "stem" else 3.0
        t = np.linspace(0, 1, 12)[:, None]
        path = centre + (down * t + side * slope * t) * length * unit
        if kind == "cable":
            path = path + side * np.sin(t * rng.uniform(2, 6)) * rng.uniform(0.0, 0.25) * t * unit
        wide = rng.uniform(0.065, 0.085) if kind == "stem" else rng.uniform(0.02, 0.03)
        brush.stroke(path + side * 0.02 * unit, 0.55, wide * unit, 0.03 * unit, tint=True)
        brush.stroke(path, colour * 0.7, wide * unit)
        brush.stroke(path - side * 0.012 * unit, colour, 0.5 * wide * unit, 0.01 * unit)
    outline = ellipse(centre, (radius * unit, radius * 0.85 * unit), rng.uniform(0, 3))
    brush.fill(outline, colour * 0.75, 0.004 * unit)
    brush.fill(ellipse(centre - 0.012 * unit, (0.72 * radius * unit,) * 2), colour, 0.02 * unit)
    if rng.random() < 0.5:
        brush.disc(centre - 0.2 * radius * unit, (0.3 * radius * unit,) * 2, colour * 0.25, 0.008 * unit)
    brush.disc(centre - 0.4 * radius * unit, (0.18 * radius * unit,) * 2, colour + 0.4, 0.02 * unit)


def wear_hearing_aid(
    rng: np.random.Generator, brush: Brush, unit: float, concha: np.ndarray, top: np.ndarray, light: Light
) -> None:
    """A case at the helix's root px with a tube down to the concha's, in place."""
    colour = lit(rng.choice([0.04, 0.25, 0.5]) * np.array([1.1, 0.95, 0.8]), light)
    middle = (top + concha) / 2 + (concha - top)[::-1] * (0.25, -0.05)
    t = np.linspace(0, 1, 14)[:, None]
    tube = (1 - t) ** 2 * top + 2 * t * (1 - t) * middle + t**2 * concha
    brush.stroke(tube, 0.6, 0.05 * unit, 0.02 * unit, tint=True)
    brush.stroke(tube, lit(np.array([0.6, 0.55, 0.5]), light), 0.022 * unit, 0, 0.75)
    brush.disc(concha, (0.05 * unit, 0.055 * unit), colour, 0.012 * unit)
    case = ellipse(top, (0.05 * unit, 0.12 * unit), rng.uniform(0.5, 1.1))
    brush.fill(case, colour * 0.8, 0.006 * unit)


def wear_headphones(
    rng: np.random.Generator, brush: Brush, unit: float, ear_px: np.ndarray, light: Light
) -> None:
    """A cup that hides the ear, and its band over the head, in place."""
    colour = lit(rng.choice([0.01, 0.05, 0.6]) * np.exp(rng.normal(0, 0.3, 3)), light)
    t = np.linspace(0, 1, 16)
    band = ear_px + unit * np.column_stack([0.15 + 0.5 * t**2, -0.4 - 2.0 * np.sqrt(t)])
    brush.stroke(band, colour * 0.6, 0.22 * unit, 0.01 * unit)
    size = np.array([rng.uniform(0.5, 0.65), rng.uniform(0.62, 0.75)]) * unit
    for ratio, shade in ((1.06, 0.35), (1.0, 0.8), (0.72, 1.0), (0.66, 0.75)):
        brush.fill(ellipse(ear_px, size * ratio, 0.1), colour * shade, 0.015 * unit)
    brush.disc(ear_px - 0.25 * size, size * 0.16, colour * 1.1 + 0.08, 0.06 * unit)
