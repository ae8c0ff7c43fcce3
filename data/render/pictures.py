"""Grids to look at: what was rendered, with boxes and points drawn on it."""

import cv2
import numpy as np

from data.landmarks import Scheme

_CURVE_COLOURS = ((80, 220, 255), (255, 200, 60), (255, 90, 160), (140, 255, 120))


def grid(tiles: list[np.ndarray], columns: int, gap_px: int = 4) -> np.ndarray:
    """Pictures (H, W, 3) of one size side by side, row by row, on white."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.full(
        (rows * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px, 3), 255, np.uint8
    )
    for index, tile in enumerate(tiles):
        top = gap_px + index // columns * (height + gap_px)
        left = gap_px + index % columns * (width + gap_px)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def draw_landmarks(
    image: np.ndarray, landmarks: np.ndarray, visibility: np.ndarray, scheme: Scheme, dot_px: float = 2.0
) -> np.ndarray:
    """Copy of an RGB image with the curves and points of one ear; hidden points are rings."""
    image = image.copy()
    points = [tuple(int(round(value * 16)) for value in point) for point in np.nan_to_num(landmarks)]
    for colour, curve in zip(_CURVE_COLOURS * 4, scheme.curves.values()):
        for start, stop in zip(curve, curve[1:]):
            if visibility[start] and visibility[stop]:
                cv2.line(image, points[start], points[stop], colour, max(int(dot_px / 2), 1), cv2.LINE_AA, 4)
    for point, seen in zip(points, visibility):
        if seen:
            cv2.circle(image, point, int(dot_px * 16), (255, 40, 40), -1 if seen == 2 else 1, cv2.LINE_AA, 4)
    return image


def draw_box(image: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
    """Copy of an RGB image with a box."""
    image = image.copy()
    left, top, right, bottom = (int(round(value)) for value in box_xyxy)
    cv2.rectangle(
        image, (left, top), (right - 1, bottom - 1), (255, 230, 0), max(round(max(image.shape) / 400), 1)
    )
    return image


def fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Image shrunk into (height, width) on grey."""
    ratio = min(height / image.shape[0], width / image.shape[1])
    size = (max(int(image.shape[1] * ratio), 1), max(int(image.shape[0] * ratio), 1))
    tile = np.full((height, width, 3), 114, np.uint8)
    tile[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return tile
