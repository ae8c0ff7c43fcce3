"""The geometry of crops: from a box in a photograph to a square view of fixed size, and back.

Conventions, used by every module:
- Points: pixel centres lie at integers, so in a mirrored image x' = W - 1 - x.
- Boxes: edges, as in COCO. Pixel i covers [i, i + 1], the whole image is (0, 0, W, H), mirrored x' = W - x.
- So a point p lies at p + 0.5 on the scale of the boxes. All matrices (2, 3) act on points; `apply_to_boxes`
  takes care of the half pixel.

The window of a box is the square around its centre with side = longer side of the box * (1 + 2 * margin).
"""

from __future__ import annotations

import numpy as np

GREY = 114  # what lies outside an image, in crops and letterboxes, as detectors of the YOLO family pad
MARGIN = 0.10
CONTEXT = 1.5  # side of the context crop over that of the view, so that a turned view meets no grey corner


def crop_matrix(box_xyxy: np.ndarray, out_px: int, margin: float = MARGIN) -> np.ndarray:
    """(2, 3) float32 from frame px to crop px for the window of `box_xyxy` (4,) px."""
    x1, y1, x2, y2 = np.asarray(box_xyxy, dtype=np.float64)
    scale = out_px / (max(x2 - x1, y2 - y1) * (1 + 2 * margin))
    centre_x, centre_y = (x1 + x2) / 2 - 0.5, (y1 + y2) / 2 - 0.5
    middle = (out_px - 1) / 2
    shift_x, shift_y = middle - scale * centre_x, middle - scale * centre_y
    return np.array([[scale, 0, shift_x], [0, scale, shift_y]], dtype=np.float32)


def context_px(out_px: int) -> int:
    """Side of the context crop of a view of `out_px`: 1.5 times as wide at the same scale, a whole border."""
    return out_px + 2 * context_border_px(out_px)


def context_border_px(out_px: int) -> int:
    """How far the context crop reaches beyond the view on each side: context px = view px + border."""
    return int(np.ceil(out_px * (CONTEXT - 1) / 2))


def letterbox_matrix(height: int, width: int, out_px: int, share: float = 1.0) -> np.ndarray:
    """(2, 3) float32 from frame px to a square of `out_px` that holds the whole frame, centred.

    share: of the square's side that the frame's longer side takes.
    """
    scale = share * out_px / max(height, width)
    middle = (out_px - 1) / 2
    shift_x, shift_y = middle - scale * (width - 1) / 2, middle - scale * (height - 1) / 2
    return np.array([[scale, 0, shift_x], [0, scale, shift_y]], dtype=np.float32)


def crop(image: np.ndarray, matrix: np.ndarray, out_px: int) -> np.ndarray:
    """(out_px, out_px, C) uint8: `image` (H, W, C) seen through `matrix` (2, 3, image px -> view px).

    Shrinking averages over the pixels it covers (no aliasing). What lies outside the image is grey 114.
    """
    import cv2

    matrix = np.asarray(matrix, dtype=np.float64)
    shrink = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink < 0.9:
        image, matrix = _shrunk_first(image, matrix, out_px, shrink)
    return cv2.warpAffine(
        image,
        matrix,
        (out_px, out_px),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(GREY, GREY, GREY),
    )


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) through a matrix (2, 3), float32; NaN stays NaN."""
    return (np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def apply_to_boxes(matrix: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    """Boxes (..., 4) px through a matrix (2, 3): upright boxes around their four turned corners, float32."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    corners = boxes[..., [[0, 1], [2, 1], [2, 3], [0, 3]]] - 0.5
    corners = corners @ np.asarray(matrix, dtype=np.float64)[:, :2].T + matrix[:, 2] + 0.5
    return np.concatenate([corners.min(axis=-2), corners.max(axis=-2)], axis=-1).astype(np.float32)


def apply_to_ellipses(matrix: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    """Boxes (..., 4) px through a matrix (2, 3): upright boxes around the turned ellipses inscribed in them,
    float32. For ears, which are nearer to ellipses than to rectangles; without a turn as `apply_to_boxes`.
    """
    boxes, linear = np.asarray(boxes_xyxy, dtype=np.float64), np.asarray(matrix, dtype=np.float64)[:, :2]
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2 - 0.5
    centre = centre @ linear.T + matrix[:, 2] + 0.5
    half = np.sqrt(((boxes[..., 2:] - boxes[..., :2]) / 2) ** 2 @ (linear**2).T)
    return np.concatenate([centre - half, centre + half], axis=-1).astype(np.float32)


def invert(matrix: np.ndarray) -> np.ndarray:
    """(2, 3) float32, the way back."""
    return _rows(np.linalg.inv(_square(matrix)))


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(2, 3) float32: first `first`, then `second`."""
    return _rows(_square(second) @ _square(first))


def shift_matrix(x_px: float, y_px: float) -> np.ndarray:
    """(2, 3) float32 that moves points by (x_px, y_px)."""
    return np.array([[1, 0, x_px], [0, 1, y_px]], dtype=np.float32)


def flip_matrix(width_px: int) -> np.ndarray:
    """(2, 3) float32 that mirrors left and right: x' = width - 1 - x."""
    return np.array([[-1, 0, width_px - 1], [0, 1, 0]], dtype=np.float32)


def rotation_matrix(angle: float, centre: np.ndarray) -> np.ndarray:
    """(2, 3) float32 that turns points by `angle` (radians, clockwise as pictures are seen) round `centre`
    (2,) px.
    """
    cosine, sine = np.cos(angle), np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    centre = np.asarray(centre, dtype=np.float64)
    return np.column_stack([linear, centre - linear @ centre]).astype(np.float32)


def mirrors(matrix: np.ndarray) -> bool:
    """Whether a matrix (2, 3) turns left into right."""
    return bool(matrix[0, 0] * matrix[1, 1] < matrix[0, 1] * matrix[1, 0])


def _square(matrix: np.ndarray) -> np.ndarray:
    return np.vstack([np.asarray(matrix, dtype=np.float64), [0, 0, 1]])


def _rows(square: np.ndarray) -> np.ndarray:
    return square[:2].astype(np.float32)


def _shrunk_first(
    image: np.ndarray, matrix: np.ndarray, out_px: int, shrink: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cut out what the view can see and shrink it by area averaging; what remains is a matrix of scale 1.

    The cut keeps a border of two view pixels, so that grey enters only where the image really ends.
    """
    import cv2

    height, width = image.shape[:2]
    corners = np.array(
        [[-2, -2], [out_px + 1, -2], [out_px + 1, out_px + 1], [-2, out_px + 1]], dtype=np.float64
    )
    seen = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    x1, y1 = np.clip(np.floor(seen.min(axis=0)).astype(int), 0, [width - 1, height - 1])
    x2, y2 = np.clip(np.ceil(seen.max(axis=0)).astype(int) + 1, [x1 + 1, y1 + 1], [width, height])
    size = (max(1, round((x2 - x1) * shrink)), max(1, round((y2 - y1) * shrink)))
    small = cv2.resize(image[y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA)
    step_x, step_y = (x2 - x1) / size[0], (y2 - y1) / size[1]
    # small px -> image px, then on to the view; both scales have their pixel centres at integers
    back = np.array([[step_x, 0, x1 + step_x / 2 - 0.5], [0, step_y, y1 + step_y / 2 - 0.5], [0, 0, 1]])
    return small, (_square(matrix) @ back)[:2]
