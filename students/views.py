"""What the models see of a photograph, and how their answers get back to it; numpy only, no torch.

The pipeline and the evaluation both go through here, so that what is measured is what is used.
"""

import numpy as np

from data.crops import MARGIN, apply, apply_to_boxes, crop, crop_matrix, invert, letterbox_matrix
from students.boxes import paired_iou_numpy

SAME_EAR_IOU = 0.3  # of a box and of the points read in it: below, they are hardly of one thing


def frame_view(rgb: np.ndarray, image_px: int) -> tuple[np.ndarray, np.ndarray]:
    """The frame (H, W, 3) uint8 letterboxed -> (3, S, S) float32 in [0, 1]; (2, 3) frame -> view px."""
    matrix = letterbox_matrix(rgb.shape[0], rgb.shape[1], image_px)
    return as_planes(crop(rgb, matrix, image_px)), matrix


def ear_view(
    rgb: np.ndarray, box_xyxy: np.ndarray, image_px: int, margin: float = MARGIN
) -> tuple[np.ndarray, np.ndarray]:
    """A box (4,) + 10 % of (H, W, 3) uint8 -> (3, S, S) float32 in [0, 1]; (2, 3) frame -> view px."""
    matrix = crop_matrix(box_xyxy, image_px, margin)
    return as_planes(crop(rgb, matrix, image_px)), matrix


def as_planes(view: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, H, W) float32 in [0, 1]."""
    return np.ascontiguousarray(view.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


def boxes_in_frame(
    boxes_view_xyxy: np.ndarray, matrix: np.ndarray, frame_shape: tuple[int, ...]
) -> np.ndarray:
    """Boxes (n, 4) of a letterboxed view -> frame px, clipped to the frame; some may come out empty."""
    height, width = frame_shape[:2]
    boxes = apply_to_boxes(invert(matrix), np.asarray(boxes_view_xyxy).reshape(-1, 4))
    return boxes.clip(0, np.array([width, height, width, height], dtype=np.float32))


def points_in_frame(points_unit: np.ndarray, matrix: np.ndarray, image_px: int) -> np.ndarray:
    """Points (..., K, 2) in unit coordinates of a view of S px -> frame px; u = (x_px + 0.5) / S."""
    return apply(invert(matrix), np.asarray(points_unit) * image_px - 0.5)


def second_box(points_px: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray | None:
    """The box in which an ear is read once more: the extent of the points (K, 2) px read in `box_xyxy` (4,).

    Landmarkers learn on boxes that are the extent of the points. A box that is tighter, looser or beside the
    ear costs accuracy, and most of it comes back when the ear is read again in the box of its own points.
    None where those do not fit the given box well enough to be of the same ear.
    """
    box = np.concatenate([points_px.min(axis=0), points_px.max(axis=0)]).astype(np.float32) + np.float32(0.5)
    return box if paired_iou_numpy(box[None], np.asarray(box_xyxy)[None])[0] >= SAME_EAR_IOU else None
