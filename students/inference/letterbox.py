"""What the models see of a photograph, and how their answers get back to it; numpy only, no torch.

The pipeline and the evaluation both go through here, so that what is measured is what is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.crops import MARGIN, apply, apply_to_boxes, crop, crop_matrix, invert, letterbox_matrix

BORDERED = 0.6  # of the letterbox with a border, which the frame takes
LARGE = 0.35  # of the frame's longer side: smaller boxes found in that letterbox do not count


@dataclass(frozen=True)
class FrameView:
    """A letterbox in which the detector sees a frame."""

    side_px: int
    share: float = 1.0  # of the letterbox's side, which the frame's longer side takes; the rest is a border
    least: float = 0.0  # of the frame's longer side: boxes whose longer side is below it do not count


def frame_views(image_px: int) -> tuple[FrameView, ...]:
    """The letterboxes in which the detector sees a frame, of `image_px` and of half of that.

    An ear that is large in the frame is found in the second, where it is as large as most of those that the
    detector learnt on. One that fills the frame, or is cut by its edge, is found in the third, which has a
    wide border; it is for those alone. docs/experiments.md, "The points' word on the boxes, and a frame in
    two sizes" and "Photographs cut close to the ear". Sides are multiples of 32.
    """
    half_px = 32 * max(1, round(image_px / 64))
    return FrameView(image_px), FrameView(half_px), FrameView(half_px, BORDERED, LARGE)


def frame_view(rgb: np.ndarray, view: FrameView) -> tuple[np.ndarray, np.ndarray]:
    """The frame (H, W, 3) uint8 letterboxed -> (3, S, S) float32 in [0, 1]; (2, 3) frame -> view px."""
    matrix = letterbox_matrix(rgb.shape[0], rgb.shape[1], view.side_px, view.share)
    return as_planes(crop(rgb, matrix, view.side_px)), matrix


def found_in_frame(
    boxes_view_xyxy: np.ndarray,
    scores: np.ndarray,
    matrix: np.ndarray,
    view: FrameView,
    frame_shape: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) and scores (n,) found in a view -> those that count, as of `boxes_in_frame`."""
    boxes = boxes_in_frame(boxes_view_xyxy, matrix, frame_shape)
    counts = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) >= view.least * max(frame_shape[:2])
    return boxes[counts], np.asarray(scores)[counts]


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


def unmirrored(
    points_unit: np.ndarray, confidence: np.ndarray, flip: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """What was read in a mirrored view, points (..., K, 2) in unit coordinates and confidences (..., K), as
    it lies in the view itself. flip: `data.landmarks.Scheme.flip`.
    """
    points = np.array(points_unit)
    points[..., 0] = 1 - points[..., 0]
    return points[..., list(flip), :], np.asarray(confidence)[..., list(flip)]
