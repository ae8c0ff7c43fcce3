"""Jewellery: earrings at the lobe, rings and studs along the helix and in the bowl."""

import numpy as np

from data.render.paint.brush import Brush, ellipse
from data.render.paint.light import Light, lit

_METALS = np.array([(0.85, 0.62, 0.25), (0.75, 0.76, 0.78), (0.6, 0.6, 0.62), (0.05, 0.05, 0.05)])
_STONES = np.array(
    [(0.8, 0.78, 0.74), (0.03, 0.03, 0.035), (0.55, 0.02, 0.04), (0.03, 0.2, 0.35), (0.9, 0.9, 0.95)]
)
_EARRINGS = ("stud", "hoop", "drop", "chain", "gauge")
# Landmarks where people are pierced: along the helix and at tragus, bowl and lobe.
_PIERCED = (2, 3, 4, 4, 5, 5, 12, 15, 9)


def hang_earring(
    rng: np.random.Generator, brush: Brush, lobe_px: np.ndarray, unit: float, light: Light
) -> None:
    """A stud, hoop, drop, chain of stones or gauge at the lobe, in place."""
    metal = lit(_METALS[rng.integers(len(_METALS))], light)
    stone = lit(_STONES[rng.integers(len(_STONES))], light)
    at = lobe_px + rng.normal(0, 0.008, 2) * unit
    kind = str(rng.choice(_EARRINGS, p=[0.35, 0.25, 0.2, 0.15, 0.05]))
    radius = rng.uniform(0.018, 0.05) * unit
    if kind == "stud":
        _bead(brush, at, radius, stone if rng.random() < 0.6 else metal, unit)
    elif kind == "hoop":
        _hoop(rng, brush, at, rng.uniform(0.06, 0.3) * unit, metal, unit)
    elif kind == "gauge":
        _bead(brush, at, radius * 1.8, metal, unit)
        brush.disc(at, (radius * 1.2,) * 2, 0.02, 0.005 * unit)
    else:
        count = 1 if kind == "drop" else int(rng.integers(3, 8))
        step = rng.uniform(0.08, 0.2) * unit if kind == "drop" else radius * rng.uniform(1.6, 2.4)
        end = at + (0, step * count)
        brush.stroke(np.stack([at, end]), metal, max(0.012 * unit, 1))
        for bead in range(1, count + 1):
            size = radius * (rng.uniform(0.8, 1.7) if kind == "chain" else rng.uniform(1, 2.2))
            _bead(brush, at + (0, step * bead), size, stone if bead % 2 else metal, unit)
        _bead(brush, at, radius * 0.6, metal, unit)


def wear_piercings(
    rng: np.random.Generator, brush: Brush, points_px: np.ndarray, unit: float, light: Light
) -> None:
    """One to four rings and studs at landmarks (17, 2) px where people wear them, in place."""
    metal = lit(_METALS[rng.integers(len(_METALS))], light)
    for place in rng.choice(_PIERCED, int(rng.integers(1, 5)), replace=False):
        at = points_px[place] + rng.normal(0, 0.015, 2) * unit
        if rng.random() < 0.5:
            _bead(brush, at, rng.uniform(0.012, 0.028) * unit, metal, unit)
        else:
            outwards = at - points_px[[12, 15]].mean(axis=0)
            outwards = outwards / max(np.hypot(*outwards), 1e-6)
            _hoop(
                rng, brush, at + outwards * 0.02 * unit, rng.uniform(0.025, 0.05) * unit, metal, unit, False
            )


def _bead(brush: Brush, at: np.ndarray, radius: float, colour: np.ndarray, unit: float) -> None:
    radius = max(radius, 0.7)
    brush.disc(at + (0, 0.5 * radius), (1.2 * radius,) * 2, 0.6, 0.4 * radius, tint=True)
    brush.disc(at, (radius,) * 2, colour * 0.6, 0.003 * unit)
    brush.disc(at - 0.2 * radius, (0.65 * radius,) * 2, colour * 1.1, 0.25 * radius)
    brush.disc(at - 0.35 * radius, (0.25 * radius,) * 2, 1.3, 0.1 * radius, 0.9)


def _hoop(rng, brush: Brush, at: np.ndarray, size: float, metal, unit: float, hanging: bool = True) -> None:
    centre = at + (0, size) if hanging else at
    ring = ellipse(centre, (size * rng.uniform(0.35, 1.0), size), 0 if hanging else rng.uniform(0, 3), 40)
    thick = max(rng.uniform(0.01, 0.03) * unit, 1)
    start = int(rng.integers(0, 14)) if not hanging else 0
    closed = np.concatenate([ring, ring[:1]])[start:]
    brush.stroke(closed + (0.01 * unit, 0.02 * unit), 0.65, thick, 0.01 * unit, tint=True)
    brush.stroke(closed, metal * 0.6, thick)
    brush.stroke(closed[: len(closed) // 2], metal * 1.2, 0.5 * thick, 0, 0.8)
