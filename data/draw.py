"""Pictures for people to look at: points, curves and boxes on them, grids, files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from configs.files import write_bytes
from data.landmarks import CURVE_COLOURS, Scheme
from data.manifest import HIDDEN

POINT_COLOUR = (255, 255, 255)
_SUBPIXEL_BITS = 4


def draw_points(
    image: np.ndarray,
    points: np.ndarray,
    visibility: np.ndarray | None = None,
    scheme: Scheme | None = None,
    grow: int = 1,
    numbers: bool = False,
) -> np.ndarray:
    """(H * grow, W * grow, 3) uint8: a copy of `image` (H, W, 3) with its points (K, 2) px and the scheme's
    curves.

    Hidden points (visibility 1) are hollow; those not annotated (0, or NaN) and the curves through them are
    left out. grow: enlarge a small picture first, so that lines stay thin. numbers: write each point's index
    beside it.
    """
    picture = np.ascontiguousarray(np.asarray(image, dtype=np.uint8))
    if grow > 1:
        picture = cv2.resize(picture, None, fx=grow, fy=grow, interpolation=cv2.INTER_CUBIC)
    picture = picture.copy()
    points = np.asarray(points, dtype=np.float64)
    placed = np.isfinite(points).all(axis=1)
    if visibility is not None:
        placed &= np.asarray(visibility) > 0
    line = max(1, round(min(picture.shape[:2]) / 200))
    at = _subpixel((np.nan_to_num(points) + 0.5) * grow - 0.5)
    for (start, end), colour in _coloured_edges(scheme, len(points)):
        if placed[start] and placed[end]:
            cv2.line(picture, at[start], at[end], colour, line, cv2.LINE_AA, _SUBPIXEL_BITS)
    for index in np.flatnonzero(placed):
        hidden = visibility is not None and visibility[index] == HIDDEN
        radius = int((1.2 * line + 0.6) * 2**_SUBPIXEL_BITS)
        thickness = line if hidden else cv2.FILLED
        cv2.circle(picture, at[index], radius, (0, 0, 0), line + 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.circle(picture, at[index], radius, POINT_COLOUR, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
        if numbers:
            x, y = (coordinate >> _SUBPIXEL_BITS for coordinate in at[index])
            cv2.putText(
                picture,
                str(index),
                (x + 4, y - 4),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.35,
                POINT_COLOUR,
                1,
                cv2.LINE_AA,
            )
    return picture


def draw_boxes(
    image: np.ndarray, boxes_xyxy: np.ndarray, colour: tuple[int, int, int] = (86, 180, 233)
) -> np.ndarray:
    """A copy of `image` (H, W, 3) uint8 with boxes (N, 4) px."""
    picture = np.ascontiguousarray(image).copy()
    line = max(1, round(min(picture.shape[:2]) / 200))
    for box in np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4):
        start, end = _subpixel(box.reshape(2, 2) - 0.5)
        cv2.rectangle(picture, start, end, colour, line, cv2.LINE_AA, _SUBPIXEL_BITS)
    return picture


def picture_grid(pictures: list[np.ndarray], columns: int, gap_px: int = 4) -> np.ndarray:
    """Pictures of one size (H, W, 3) uint8 side by side, row after row, on white."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    grid = np.full((rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        y, x = (number // columns) * (height + gap_px), (number % columns) * (width + gap_px)
        grid[y : y + height, x : x + width] = picture
    return grid


def write_picture(path: str | Path, rgb: np.ndarray) -> Path:
    """Write (H, W, 3) uint8 RGB as PNG or JPEG, by its suffix, whole or not at all. Returns the path.

    Raises ValueError for what is no picture.
    """
    done, encoded = cv2.imencode(Path(path).suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"{path}: cannot encode a picture of shape {rgb.shape}")
    return write_bytes(path, encoded.tobytes())


def _subpixel(points: np.ndarray) -> list[tuple[int, int]]:
    limited = points.clip(-1e4, 1e4)  # what lies far outside must not overflow
    return [(int(x), int(y)) for x, y in np.round(limited * 2**_SUBPIXEL_BITS)]


def _coloured_edges(scheme: Scheme | None, points: int) -> list[tuple[tuple[int, int], tuple[int, int, int]]]:
    """Each pair of neighbours on a curve and the curve's colour; none when the scheme is for other points."""
    if scheme is None or len(scheme.names) != points:
        return []
    return [
        ((start, end), CURVE_COLOURS[number % len(CURVE_COLOURS)])
        for number, curve in enumerate(scheme.curves.values())
        for start, end in zip(curve, curve[1:], strict=False)
    ]
