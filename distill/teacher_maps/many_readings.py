"""One ear read many times: turned, in looser and tighter boxes, each also mirrored; the mean of all counts.

A landmarker errs otherwise in each reading, and the mean of several errs less than one. It is its own teacher
then: a student that reads once as it reads on average has learned from it.
"""

from __future__ import annotations

import numpy as np
import torch

from configs.errors import UserError
from data import crops
from data.images import read_image
from data.manifest import Manifest
from data.tensors import planes, to_signed
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from students.evaluation.frame_detections import frames_of

# degrees, size of the box
VIEWS = ((0, 1.0), (10, 1.0), (-10, 1.0), (0, 1.2), (20, 1.0), (-20, 1.0), (0, 0.9))
MOST_READINGS = 2 * len(VIEWS)  # each view plain and mirrored


def read_many(landmarker: FrozenTeacher, manifest: Manifest, readings: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, K, 2) float32, px of the photographs; and how far the readings of each lie from their mean,
    (N, K), on average, as a fraction of the window's side.

    readings: how many of each ear, an even number; half of them are of mirrored views. Raises UserError for
    another number.
    """
    require_readings(readings)
    points = np.empty((len(manifest), manifest.crops.num_landmarks, 2), np.float32)
    spread = np.empty(points.shape[:2], np.float32)
    for frame in frames_of(manifest):
        if not len(frame.rows):
            continue
        photograph = read_image(frame.path)
        for row, box in zip(frame.rows, frame.boxes_xyxy, strict=True):
            found, side_px = _readings(landmarker, photograph, box, manifest, readings // 2)
            points[row] = found.mean(axis=0)
            spread[row] = np.linalg.norm(found - points[row], axis=2).mean(axis=0) / side_px
    return points, spread


def require_readings(readings: int) -> None:
    """Raise UserError for a number of readings that there is not."""
    if readings % 2 or not 2 <= readings <= MOST_READINGS:
        raise UserError(f"readings={readings}: an even number from 2 to {MOST_READINGS} is needed.")


def _readings(
    landmarker: FrozenTeacher, photograph: np.ndarray, box_xyxy: np.ndarray, manifest: Manifest, views: int
) -> tuple[np.ndarray, float]:
    """(2 * views, K, 2) px of the photograph, and the side of the plain window there."""
    side, margin, flip = landmarker.image_px, manifest.crops.margin, list(manifest.crops.scheme.flip)
    plain = crops.crop_matrix(box_xyxy, side, margin)
    matrices = [_view_matrix(plain, side, *view) for view in VIEWS[:views]]
    images = to_signed(torch.stack([planes(crops.crop(photograph, matrix, side)) for matrix in matrices]))
    read = landmarker.read(torch.cat((images, images.flip(-1)))).points_unit.numpy()
    read[views:, :, 0] = 1 - read[views:, :, 0]
    read[views:] = read[views:, flip]
    back = [crops.invert(matrix) for matrix in (*matrices, *matrices)]
    found = [crops.apply(matrix, unit * side - 0.5) for matrix, unit in zip(back, read, strict=True)]
    return np.stack(found), side / float(plain[0, 0])


def _view_matrix(plain: np.ndarray, side_px: int, degrees: float, size: float) -> np.ndarray:
    """photograph px -> px of the view of an ear turned by `degrees`, its box `size` times as large."""
    middle = np.full(2, (side_px - 1) / 2)
    zoom = np.array([[1 / size, 0, middle[0] * (1 - 1 / size)], [0, 1 / size, middle[1] * (1 - 1 / size)]])
    return crops.compose(crops.rotation_matrix(np.radians(degrees), middle), crops.compose(zoom, plain))
