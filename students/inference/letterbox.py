"""What the networks see of a photograph, and how their predictions get back to it; numpy only, no torch.

The detector sees whole frames in letterboxes, the landmarker square crops of ears. The pipeline and the
evaluation both go through here, so that what is measured is what is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.crops import MARGIN, apply, apply_to_ellipses, crop, crop_matrix, invert, letterbox_matrix

BORDERED_SHARE = 0.6  # of the side of the letterbox with a border, which the frame takes
BORDERED_MIN_BOX = 0.35  # of the frame's longer side: smaller boxes found in that letterbox do not count


@dataclass(frozen=True)
class Letterbox:
    """A square of side_px in which the detector sees a frame.

    frame_share: of the square's side, which the frame's longer side takes; the rest is a border. min_box: a
    fraction of the frame's longer side; boxes whose longer side is below it do not count.
    """

    side_px: int
    frame_share: float = 1.0
    min_box: float = 0.0


def letterboxes(image_px: int, looks: str = "many") -> tuple[Letterbox, ...]:
    """The letterboxes in which the detector sees a frame: "one" of `image_px`; "many" are that and two of
    half of it.

    An ear that is large in the frame is found in the second, where it is as large as most of those that the
    detector was trained on. One that fills the frame, or is cut by its edge, is found in the third, which has
    a wide border; it is for those alone. Sides are multiples of 32. docs/experiments/detector.md, "Rescoring
    by the landmarks, and a frame in two sizes"; docs/experiments/photographs.md, "Photographs cut close to
    the ear".
    """
    if looks == "one":
        return (Letterbox(image_px),)
    half_px = 32 * max(1, round(image_px / 64))
    return Letterbox(image_px), Letterbox(half_px), Letterbox(half_px, BORDERED_SHARE, BORDERED_MIN_BOX)


def letterboxed(rgb: np.ndarray, letterbox: Letterbox) -> tuple[np.ndarray, np.ndarray]:
    """The frame (H, W, 3) uint8 -> (3, S, S) float32 in [0, 1]; and the matrix (2, 3), frame -> letterbox
    px.
    """
    matrix = letterbox_matrix(rgb.shape[0], rgb.shape[1], letterbox.side_px, letterbox.frame_share)
    return as_planes(crop(rgb, matrix, letterbox.side_px)), matrix


def found_in_frame(
    boxes_letterbox_xyxy: np.ndarray,
    scores: np.ndarray,
    matrix: np.ndarray,
    letterbox: Letterbox,
    frame_shape: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) and scores (n,) found in a letterbox -> those that count; boxes in frame px, as of
    `boxes_in_frame`.
    """
    boxes = boxes_in_frame(boxes_letterbox_xyxy, matrix, frame_shape)
    counts = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) >= letterbox.min_box * max(frame_shape[:2])
    return boxes[counts], np.asarray(scores)[counts]


def ear_crop(
    rgb: np.ndarray, box_xyxy: np.ndarray, image_px: int, margin: float = MARGIN
) -> tuple[np.ndarray, np.ndarray]:
    """The window of a box (4,) px in (H, W, 3) uint8 -> (3, S, S) float32 in [0, 1]; and the matrix (2, 3),
    frame -> crop px.

    margin: border round the box on each side, a fraction of its longer side.
    """
    matrix = crop_matrix(box_xyxy, image_px, margin)
    return seen_through(rgb, matrix, image_px), matrix


def seen_through(rgb: np.ndarray, matrix: np.ndarray, image_px: int) -> np.ndarray:
    """(H, W, 3) uint8 through a matrix (2, 3), frame -> crop px -> (3, S, S) float32 in [0, 1]."""
    return as_planes(crop(rgb, matrix, image_px))


def as_planes(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, H, W) float32 in [0, 1]."""
    return np.ascontiguousarray(rgb.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


def boxes_in_frame(boxes_xyxy: np.ndarray, matrix: np.ndarray, frame_shape: tuple[int, ...]) -> np.ndarray:
    """Boxes (n, 4) px of a letterbox or crop, which may be turned -> frame px, clipped to the frame; some may
    come out empty.

    matrix: (2, 3), frame -> letterbox or crop px; frame_shape: (H, W, ...).
    """
    height, width = frame_shape[:2]
    boxes = apply_to_ellipses(invert(matrix), np.asarray(boxes_xyxy).reshape(-1, 4))
    return boxes.clip(0, np.array([width, height, width, height], dtype=np.float32))


def points_in_frame(points_unit: np.ndarray, matrix: np.ndarray, image_px: int) -> np.ndarray:
    """Points (..., K, 2) in unit coordinates of a crop of S px -> frame px; u = (x_px + 0.5) / S."""
    return apply(invert(matrix), np.asarray(points_unit) * image_px - 0.5)


def window_px(matrices: Sequence[np.ndarray], image_px: int) -> np.ndarray:
    """(n,) sides in frame px of the windows that crops of image_px show; matrices: (2, 3), frame -> crop."""
    scales = [np.sqrt(abs(np.linalg.det(matrix[:, :2]))) for matrix in matrices]
    return (image_px / np.array(scales)).astype(np.float32)


def unmirrored(
    points_unit: np.ndarray, confidence: np.ndarray, flip: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Points (..., K, 2) in unit coordinates and confidences (..., K) predicted in a mirrored crop -> those
    of the crop itself. flip: `data.landmarks.Scheme.flip`.
    """
    points = np.array(points_unit)
    points[..., 0] = 1 - points[..., 0]
    return points[..., list(flip), :], np.asarray(confidence)[..., list(flip)]
