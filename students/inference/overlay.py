"""Boxes, curves and points drawn on a photograph, legible from 100 px to 4000 px."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from data.landmarks import CURVE_COLOURS
from students.inference.onnx_landmarker import default_curves
from students.inference.pipeline import Ear

MIN_CANVAS_PX = 640  # smaller photographs are enlarged first: 17 points do not fit into an ear of 30 px
BOX_COLOUR = (255, 255, 255)
INK = (25, 25, 30)  # under every line, so that it shows on skin, hair and sky alike
CONFIDENT = 0.5  # points below this confidence are drawn hollow
SHIFT = 4  # OpenCV draws at 1/16 px with it
SUB_PIXELS = 1 << SHIFT
STEPS_PER_SPAN = 8


def draw_ears(
    rgb: np.ndarray, ears: Sequence[Ear], curves: Mapping[str, Sequence[int]] | None = None
) -> np.ndarray:
    """A copy of (H, W, 3) uint8 RGB with all ears drawn on it; small photographs come back enlarged by a
    whole factor.

    curves: name -> indices of the points it joins, in order, such as `EarPipeline.curves`; by default those
    of the 17 points, where an ear has 17.
    """
    canvas, factor = _canvas(rgb)
    for ear in ears:
        # Enlarging by f moves a pixel's centre from x to f x + (f - 1) / 2, and a box's edge from x to f x.
        points = ear.points_px * factor + (factor - 1) / 2
        box = ear.box_xyxy * factor - 0.5
        line_px = line_width_px(box, canvas.shape)
        _draw_box(canvas, box, ear.score, line_px)
        colours = np.tile(BOX_COLOUR, (len(points), 1))
        drawn = default_curves(len(points)) if curves is None else curves
        for number, curve in enumerate(drawn.values()):
            colour = CURVE_COLOURS[number % len(CURVE_COLOURS)]
            curve = list(curve)
            colours[curve] = colour
            _draw_line(canvas, smooth(points[curve]), colour, line_px)
        for point, confidence, colour in zip(points, ear.point_confidence, colours, strict=True):
            _draw_point(canvas, point, tuple(int(c) for c in colour), line_px, hollow=confidence < CONFIDENT)
    return canvas


def line_width_px(box_xyxy: np.ndarray, canvas_shape: tuple[int, ...]) -> float:
    """Width of lines: 1/90 of the ear's longer side, within limits for a picture seen on a screen."""
    ear_px, canvas_px = float(max(box_xyxy[2:] - box_xyxy[:2])), max(canvas_shape[:2])
    return float(np.clip(ear_px / 90, max(1.0, canvas_px / 2500), canvas_px / 250))


def smooth(points_px: np.ndarray) -> np.ndarray:
    """A curve (n, 2) through points (k, 2) in order: a Catmull-Rom spline, its ends mirrored."""
    if len(points_px) < 3:
        return points_px
    padded = np.concatenate(
        (2 * points_px[:1] - points_px[1:2], points_px, 2 * points_px[-1:] - points_px[-2:-1])
    )
    t = np.linspace(0, 1, STEPS_PER_SPAN, endpoint=False)[:, None]
    spans = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        linear = (end - before) / 2
        square = before - 2.5 * start + 2 * end - after / 2
        cube = (after - before) / 2 + 1.5 * (start - end)
        spans.append(start + t * linear + t**2 * square + t**3 * cube)
    return np.concatenate([*spans, points_px[-1:]])


def _canvas(rgb: np.ndarray) -> tuple[np.ndarray, int]:
    """A copy, enlarged by a whole factor if both sides are below MIN_CANVAS_PX, and the factor."""
    factor = max(1, int(np.ceil(MIN_CANVAS_PX / max(rgb.shape[:2]))))
    if factor == 1:
        return rgb.copy(), 1
    height, width = rgb.shape[:2]
    return cv2.resize(rgb, (width * factor, height * factor), interpolation=cv2.INTER_CUBIC), factor


def _draw_box(canvas: np.ndarray, box: np.ndarray, score: float, line_px: float) -> None:
    x1, y1, x2, y2 = box
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]])
    _draw_line(canvas, corners, BOX_COLOUR, line_px * 0.7)
    text, font = f"{score:.2f}", cv2.FONT_HERSHEY_SIMPLEX
    scale = max(0.4, line_px * 0.3, max(canvas.shape[:2]) / 3000)
    thickness = max(1, round(scale * 1.6))
    (width, height), _ = cv2.getTextSize(text, font, scale, thickness)
    pad = max(2, round(height / 4))
    left = int(np.clip(x1, 0, max(0, canvas.shape[1] - width - 2 * pad)))
    bottom = int(y1 - line_px)
    if bottom < height + 2 * pad:  # no room above: inside the box
        bottom = int(max(y1, 0) + height + 2 * pad + line_px)
    cv2.rectangle(canvas, (left, bottom - height - 2 * pad), (left + width + 2 * pad, bottom), INK, -1)
    cv2.putText(canvas, text, (left + pad, bottom - pad), font, scale, BOX_COLOUR, thickness, cv2.LINE_AA)


def _draw_line(canvas: np.ndarray, points: np.ndarray, colour: tuple[int, int, int], line_px: float) -> None:
    if not np.isfinite(points).all():
        return
    ends = [np.round(points * SUB_PIXELS).astype(np.int32)]
    width = max(1, round(line_px))
    cv2.polylines(canvas, ends, False, INK, width + max(1, round(line_px * 0.8)), cv2.LINE_AA, SHIFT)
    cv2.polylines(canvas, ends, False, colour, width, cv2.LINE_AA, SHIFT)


def _draw_point(
    canvas: np.ndarray, point: np.ndarray, colour: tuple[int, int, int], line_px: float, hollow: bool
) -> None:
    if not np.isfinite(point).all():
        return
    centre = tuple(int(value) for value in np.round(point * SUB_PIXELS))
    radius_px = max(1.5, 1.7 * line_px)
    for radius, ink in ((radius_px + max(0.7, 0.5 * line_px), INK), (radius_px, colour)):
        cv2.circle(canvas, centre, round(radius * SUB_PIXELS), ink, -1, cv2.LINE_AA, SHIFT)
    if hollow:
        cv2.circle(canvas, centre, round(radius_px * 0.55 * SUB_PIXELS), INK, -1, cv2.LINE_AA, SHIFT)
