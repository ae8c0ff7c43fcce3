"""How far an ear is turned in its picture, told by its points, and the crop in which it stands upright."""

from __future__ import annotations

import numpy as np

from data.crops import apply, compose, crop_matrix, rotation_matrix
from students.inference.rescoring import points_extent

TURNED_FROM = np.radians(15.0)  # ears turned by less are read as they are: landmarkers know those
EXPLAINED = 0.6  # of 167 ears of photographs turned by 60 degrees 95 % have .66 or more, with what ships
WIDTH_OVER_HEIGHT = 0.56  # of annotated ears: the mean shape is given in a square


def turn_of(points_px: np.ndarray, mean_shape_unit: np.ndarray, flip: list[int]) -> float:
    """Radians, clockwise as pictures are seen, by which points (K, 2) are turned from the mean shape.

    The rotation of the similarity that lays the mean shape (K, 2), or its mirror image, over the points with
    the least squared distance (Umeyama, PAMI 1991, in two dimensions as complex numbers); the better of the
    two. 0 where it explains less than EXPLAINED of the points' variance: they are hardly those of an ear.
    """
    found = _complex(points_px)
    shape = mean_shape_unit * np.array([WIDTH_OVER_HEIGHT, 1.0])
    facing_right, facing_left = _complex(shape), _complex(shape[flip] * np.array([-1.0, 1.0]))
    fits = [np.vdot(facing, found) / np.linalg.norm(facing) for facing in (facing_right, facing_left)]
    best = max(fits, key=abs)
    is_ear = abs(best) ** 2 >= EXPLAINED * np.linalg.norm(found) ** 2
    return float(np.angle(best)) if is_ear else 0.0


def upright_matrix(points_px: np.ndarray, turn: float, image_px: int, margin: float) -> np.ndarray:
    """(2, 3) float32 from the photograph to the crop of image_px that shows the ear turned back by `turn`
    radians, in the window of the extent of its points (K, 2) px as they lie then.
    """
    back = rotation_matrix(-turn, points_px.mean(axis=0))
    upright = apply(back, points_px)
    return compose(crop_matrix(points_extent(upright), image_px, margin), back)


def _complex(points: np.ndarray) -> np.ndarray:
    """(K, 2) -> (K,) complex numbers, their mean taken off."""
    centred = points.astype(np.float64) - points.mean(axis=0)
    return centred[:, 0] + 1j * centred[:, 1]
