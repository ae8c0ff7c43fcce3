"""A drawn ear with the error of each landmark: a circle to scale round each point, as inline SVG."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from data.landmarks import Scheme, load_scheme

EAR_HEIGHT = 400.0  # drawing units
ASPECT = 0.61  # width over height of the box of a mean ear (41 annotated in-the-wild ears)
MARGIN = 46.0  # drawing units round the box: room for circles and numbers
LABEL_DISTANCE = 11.0  # of a number from the circle round its point, drawing units
MAX_CLEARED = 20.0  # round larger circles the number stands inside, or nobody would know whose it is
# How an ear runs between the landmarks of the default scheme: an index is a landmark, a pair a place in the
# box 0..1.
SKIN = (0, 1, 2, 3, (0.09, 0.41), 4, 5, 6, (0.82, 1.0), 7, (0.92, 0.82), 13, 12, 11, (0.81, 0.3), 0)
BOWL = (16, (0.47, 0.35), 15, (0.48, 0.6), 14, (0.75, 0.73), 13, 12, 11, 8, 16)
FOLDS = (
    (0, 1, 2, 3, (0.09, 0.41), 4, 5, 6, (0.82, 1.0), 7),
    (8, (0.68, 0.27), (0.53, 0.14), 9, (0.19, 0.18), (0.17, 0.36), (0.25, 0.57), 10),
    (11, 12, 13, (0.75, 0.73), 14),
    (14, (0.48, 0.6), 15, (0.47, 0.35), 16),
    ((0.56, 0.7), (0.38, 0.62), (0.29, 0.47), (0.33, 0.31), (0.46, 0.22)),
)


def ear_figure(errors: np.ndarray, scheme: Scheme, shape_unit: np.ndarray, paint: str, label: str) -> str:
    """SVG of the ear `shape_unit` (K, 2), box 0..1, with a circle of radius errors[k] round point k.

    errors: (K,) mean distance as a fraction of the box's diagonal, drawn in the same scale as the ear; NaN
    draws no circle. paint: a CSS variable of the page. label: what is shown, for screen readers.
    """
    points = drawn_points(shape_unit)
    diagonal = drawn_diagonal(shape_unit)
    width, height = points.max(axis=0) + MARGIN
    parts = [
        f'<svg class="ear" role="img" aria-label="{html.escape(label)}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">',
        *_drawing(points, scheme),
    ]
    for index, (point, error) in enumerate(zip(points, errors, strict=True)):
        x, y = point
        shown = "not annotated" if np.isnan(error) else f"{error:.4f}"
        parts.append(f"<g><title>{index} {html.escape(scheme.names[index])}: {shown}</title>")
        if not np.isnan(error):
            radius = error * diagonal
            parts.append(
                f'<circle class="error" style="--c: var(--{paint})" '
                f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.2f}"/>'
            )
        parts.append(f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/></g>')
    for index, (x, y) in enumerate(_label_places(points, errors * diagonal)):
        parts.append(f'<text x="{x:.1f}" y="{y + 4.5:.1f}">{index}</text>')
    return "".join(parts) + "</svg>"


def drawn_points(shape_unit: np.ndarray) -> np.ndarray:
    """(K, 2) drawing units of the points of a box 0..1."""
    return np.asarray(shape_unit, dtype=np.float64) * (ASPECT * EAR_HEIGHT, EAR_HEIGHT) + MARGIN


def drawn_diagonal(shape_unit: np.ndarray) -> float:
    """Diagonal of the extent of the drawn points, in drawing units: errors are fractions of it."""
    return float(np.linalg.norm(np.ptp(drawn_points(shape_unit), axis=0)))


def example_shape(landmarks: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """(K, 2) in a box 0..1: an annotated ear to draw on, for a scheme without a mean shape.

    landmarks: (N, K, 2) px, visibility: (N, K). The ear with the most annotated points; those it lacks lie in
    the middle.
    """
    points = landmarks[int((visibility > 0).sum(axis=1).argmax())].astype(np.float64)
    low, extent = np.nanmin(points, axis=0), np.ptp(points[np.isfinite(points).all(axis=1)], axis=0)
    return np.nan_to_num((points - low) / np.where(extent > 0, extent, 1), nan=0.5)


def ear_outlines(points: np.ndarray, scheme: Scheme) -> list[tuple[str, np.ndarray]]:
    """What runs through the drawn points (K, 2): kind (skin, bowl or fold) and a curve of
    `smooth_curve`. Skin and bowl are closed areas. The default scheme's ear, for others their curves.
    """
    if scheme != load_scheme():
        return [("fold", smooth_curve(points[curve])) for curve in scheme.curves.values()]

    def through(way: Sequence[int | tuple[float, float]]) -> np.ndarray:
        places = [points[step] if isinstance(step, int) else drawn_points(step) for step in way]
        return smooth_curve(np.array(places))

    return [("skin", through(SKIN)), ("bowl", through(BOWL)), *(("fold", through(way)) for way in FOLDS)]


def smooth_curve(points: np.ndarray) -> np.ndarray:
    """A Catmull-Rom spline through points (n, 2) as cubic Bezier segments: (3 n - 2, 2), the start first."""
    padded = np.concatenate((2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]))
    curve = [points[0]]
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        curve += [start + (end - before) / 6, end - (after - start) / 6, end]
    return np.array(curve)


def _drawing(points: np.ndarray, scheme: Scheme) -> list[str]:
    """The ear under the circles."""
    return [
        f'<path class="{kind}" d="{_path(curve)}{"" if kind == "fold" else "Z"}"/>'
        for kind, curve in ear_outlines(points, scheme)
    ]


def _path(curve: np.ndarray) -> str:
    """SVG's words for a curve of `smooth_curve`."""
    words = [f"M{curve[0, 0]:.1f} {curve[0, 1]:.1f}"]
    for controls in curve[1:].reshape(-1, 6):
        words.append("C" + " ".join(f"{value:.1f}" for value in controls))
    return "".join(words)


def _label_places(points: np.ndarray, radii: Sequence[float]) -> np.ndarray:
    """(K, 2): each number beside its point, on the side away from the nearest other points."""
    places = []
    for index, point in enumerate(points):
        offsets = point - np.delete(points, index, axis=0)
        distances = np.linalg.norm(offsets, axis=1, keepdims=True).clip(1)
        away = (offsets / distances**3).sum(axis=0)  # as charges repel
        away = away / max(np.linalg.norm(away), 1e-9)
        clear_of_circle = float(np.clip(np.nan_to_num(radii[index]), 4.0, MAX_CLEARED))
        places.append(point + away * (clear_of_circle + LABEL_DISTANCE))
    return np.array(places)
