"""Colours of 16 bits a channel, of which Pillow would keep the upper 8 alone, read by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from data.image_kinds.levels import to_8_bit


def deep_colour(content: bytes) -> tuple[Image.Image, list[str]]:
    """An RGB or RGBA image of 8 bits from a file of 16. ValueError for one that OpenCV cannot read either."""
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3:
        raise ValueError("its 16-bit colours cannot be decoded")
    colours, notes = to_8_bit(values[..., 2::-1].astype(np.float64))
    if values.shape[2] == 4:
        colours = np.dstack([colours, (values[..., 3] / 257).round().astype(np.uint8)])
    return Image.fromarray(np.ascontiguousarray(colours)), notes
