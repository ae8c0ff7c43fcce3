"""Image files to 8-bit RGB and back, with OpenCV alone."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from configs.errors import UserError
from configs.files import write_bytes
from data.image_kinds.likely_cause import likely_cause

_JPEG, _SCAN_STARTS, _JPEG_ENDS = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"


def read_image(path: str | os.PathLike) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned upright by its EXIF tag. Of 16 bits the upper 8 count, transparency does
    not.

    Raises UserError with the path when the file is missing, cut off, or no image that OpenCV reads.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such image.") from None
    except OSError as error:
        reason = "is a folder, expected an image" if path.is_dir() else f"cannot be read ({error.strerror})"
        raise UserError(f"{path}: {reason}.") from None
    if content.startswith(_JPEG) and content.rfind(_JPEG_ENDS) < content.rfind(_SCAN_STARTS):
        # some versions of OpenCV fill up what is missing and say nothing
        raise UserError(f"{path}: the JPEG is cut off, a copy or download that was not finished.")
    try:
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error as error:
        raise UserError(f"{path}: OpenCV cannot read this image ({error.err}).") from None
    if bgr is None:
        cause = likely_cause(path) or "of no format that OpenCV reads, or damaged"
        raise UserError(f"{path}: not an image that can be read ({cause}).")
    return np.ascontiguousarray(bgr[..., ::-1])


def write_image(path: str | os.PathLike, rgb: np.ndarray) -> Path:
    """Write (H, W, 3) uint8 RGB in the format of the suffix, whole or not at all. Returns the path.

    Raises UserError for a suffix that OpenCV does not write.
    """
    path = Path(path)
    if not cv2.haveImageWriter(str(path)):
        raise UserError(f"{path}: OpenCV writes no picture of this name; .png and .jpg it does.")
    return write_bytes(path, cv2.imencode(path.suffix, rgb[..., ::-1])[1].tobytes())
