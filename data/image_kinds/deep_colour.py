"""Colours of 16 bits a channel, of which Pillow would keep the upper 8 alone, read by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from data.image_kinds.levels import depth_of, rows_at_once, to_8_bit


def deep_colour(content: bytes) -> tuple[Image.Image, list[str]]:
    """An RGB or RGBA image of 8 bits from a file of 16. ValueError for one that OpenCV cannot read either."""
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3:
        raise ValueError("its 16-bit colours cannot be decoded")
    bits, notes = depth_of(float(values[..., :3].max()))
    colours = np.empty(values.shape, np.uint8)
    for rows in rows_at_once(*values.shape[:2]):
        colours[rows, :, :3] = to_8_bit(values[rows, :, 2::-1].astype(np.float64), bits)
        colours[rows, :, 3:] = (values[rows, :, 3:] / 257).round()
    return Image.fromarray(colours), notes
