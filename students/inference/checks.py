"""What a caller may hand to the pipeline: images and boxes."""

from __future__ import annotations

import numpy as np

from configs.errors import UserError

MAX_SIDE_PX = 32_766  # OpenCV's warp addresses pixels with 16 bits


def checked_image(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8, contiguous. Raises UserError for anything else, saying what to do."""
    found = f"{rgb.dtype} of shape {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
    if not isinstance(rgb, np.ndarray) or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise UserError(f"An image is a numpy array (H, W, 3), RGB; found {found}. `read_image` reads files.")
    if rgb.dtype != np.uint8:
        raise UserError(f"An image is uint8, 0 to 255; found {found}. Scale it and use .astype(numpy.uint8).")
    if min(rgb.shape) < 1:
        raise UserError(f"The image is empty: {found}.")
    if max(rgb.shape) > MAX_SIDE_PX:
        raise UserError(f"The image is too large, at most {MAX_SIDE_PX:,} px a side: found {found}.")
    return np.ascontiguousarray(rgb)


def checked_box(box_xyxy: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """(4,) float32. UserError for a box that is not four numbers, inverted, empty or beside the image."""
    try:
        box = np.asarray(box_xyxy, dtype=np.float32)
    except (TypeError, ValueError):
        raise UserError(f"A box is four numbers x1, y1, x2, y2 in pixels; found {box_xyxy!r}.") from None
    if box.shape != (4,) or not np.isfinite(box).all():
        raise UserError(f"A box is four finite numbers x1, y1, x2, y2 in pixels; found {box_xyxy!r}.")
    if not (box[2:] > box[:2]).all():
        raise UserError(
            f"The box {box.tolist()} is empty or inverted; x1 < x2 and y1 < y2 are wanted (xyxy, not xywh)."
        )
    height, width = image_shape[:2]
    if not ((box[:2] < (width, height)).all() and (box[2:] > 0).all()):
        raise UserError(f"The box {box.tolist()} lies outside the image of {width} x {height} px.")
    return box
