"""Pictures to look at: the first of what was rendered, with boxes and points drawn on it."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from data.crops import GREY
from data.draw import draw_boxes, draw_points, picture_grid, write_picture
from data.landmarks import load_scheme
from data.render.files import Labels
from data.render.orders import Order

EARS, EAR_COLUMNS = 48, 8  # of grid.png; its last column shows the labels
SCENES, SCENE_COLUMNS = 12, 3  # of scenes.png
_SCENE_TILE_PX = (360, 480)  # height, width


def write_ear_grid(path: Path, orders: Sequence[Order], labels: Sequence[Labels]) -> Path:
    """The first EARS ears side by side. Returns `path`."""
    tiles = []
    for order, label in zip(orders[:EARS], labels):
        image = _read(order.path)
        tiles.append(_labelled(image, label) if len(tiles) % EAR_COLUMNS == EAR_COLUMNS - 1 else image)
    return write_picture(path, picture_grid(tiles, EAR_COLUMNS))


def write_scene_grid(path: Path, orders: Sequence[Order], labels: Sequence[Labels]) -> Path:
    """The first SCENES scenes with their labels, shrunk. Returns `path`."""
    tiles = [
        _fitted(_labelled(_read(order.path), label), *_SCENE_TILE_PX)
        for order, label in zip(orders[:SCENES], labels)
    ]
    return write_picture(path, picture_grid(tiles, SCENE_COLUMNS))


def _labelled(image: np.ndarray, label: Labels) -> np.ndarray:
    scheme = load_scheme()
    image = draw_boxes(image, label.boxes_xyxy)
    for points, visibility in zip(label.landmarks, label.visibility):
        image = draw_points(image, points, visibility, scheme)
    return image


def _fitted(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Image shrunk into (height, width) on grey."""
    ratio = min(height / image.shape[0], width / image.shape[1])
    size = (max(int(image.shape[1] * ratio), 1), max(int(image.shape[0] * ratio), 1))
    tile = np.full((height, width, 3), GREY, np.uint8)
    tile[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return tile


def _read(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1]
