"""What tools draw, as boxes: polygons, ellipses, turned rectangles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def extent(corners: Sequence[Sequence[float]]) -> list[float]:
    """The box (edges) round corners. Raises ValueError without any."""
    places = np.asarray(corners, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or not len(places):
        raise ValueError("no corners")
    return [*places.min(axis=0).tolist(), *places.max(axis=0).tolist()]


def turned_rectangle(
    corner: tuple[float, float], sides: tuple[float, float], degrees: float, about: tuple[float, float]
) -> list[float]:
    """The box round a rectangle of this upper left corner and sides, turned clockwise about a place."""
    x, y = corner
    width, height = sides
    corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]) - about
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # y points down
    return extent(corners @ turn + about)


def ellipse(centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0) -> list[float]:
    """The box round an ellipse whose first radius is turned clockwise from the horizontal."""
    angle = np.deg2rad(degrees)
    across = float(np.hypot(radii[0] * np.cos(angle), radii[1] * np.sin(angle)))
    down = float(np.hypot(radii[0] * np.sin(angle), radii[1] * np.cos(angle)))
    return [centre[0] - across, centre[1] - down, centre[0] + across, centre[1] + down]
