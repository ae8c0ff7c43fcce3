"""Pixels of any depth to 8-bit RGB, scaled by the levels that are there."""

from __future__ import annotations

import numpy as np
from PIL import Image

from configs.errors import UserError
from data.crops import GREY

DEPTHS = (8, 10, 12, 14, 16, 24, 32)  # bits that cameras and scanners give, in files of 16 bits or more


def is_deep_colour(image: Image.Image) -> bool:
    """Whether an opened image's file has 16 bits for each colour; Pillow would keep the upper 8 alone."""
    raw_modes = (tile[3] if isinstance(tile[3], str) else (tile[3] or ("",))[0] for tile in image.tile)
    return image.mode in ("RGB", "RGBA") and any(";16" in str(raw_mode) for raw_mode in raw_modes)


def to_8_bit(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Numbers from 0 on -> uint8, and what was noticed.

    The largest value says how many bits there are: 4080 is of 12, so 4095 becomes 255.
    """
    largest = float(values.max(initial=0))
    bits = next((depth for depth in DEPTHS if largest < 2**depth), DEPTHS[-1])
    notes = [] if bits == 16 else [f"its values need {bits} bits of those in the file, scaled by these"]
    return (values.clip(0) * (255 / (2**bits - 1))).round().astype(np.uint8), notes


def to_rgb(image: Image.Image, path: object) -> tuple[np.ndarray, list[str]]:
    """(H, W, 3) uint8, and what was noticed.

    Grey and palettes become RGB, transparent pixels are laid on grey 114, whole numbers of more than 8 bits
    are scaled by the bits that they use, floats by 1 or, where they are larger, as whole numbers. Raises
    UserError for floats that are negative or not finite.
    """
    if image.mode.startswith("I"):
        grey, notes = to_8_bit(np.asarray(image).astype(np.float64))
        return np.repeat(grey[..., None], 3, axis=2), notes
    if image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        if not np.isfinite(values).all() or values.min() < 0:
            raise UserError(f"{path}: an image of floats must hold numbers from 0 on.")
        if values.max() > 1:
            grey, _ = to_8_bit(values)
            notes = [f"floats of 0 to {values.max():g}, read as whole numbers"]
        else:
            grey, notes = (values * 255).round().astype(np.uint8), []
        return np.repeat(grey[..., None], 3, axis=2), notes
    if "A" in image.getbands() or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, (GREY, GREY, GREY, 255))
        return np.asarray(Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")), []
    return np.asarray(image.convert("RGB")), []
