"""Pixels of any depth to 8-bit RGB, scaled by the levels that are there, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from configs.errors import UserError
from data.crops import GREY

DEPTHS = (8, 10, 12, 14, 16, 24, 32)  # bits that cameras and scanners give, in files of 16 bits or more
_PIXELS_AT_ONCE = 2**19  # of which there are copies in other types


def is_deep_colour(image: Image.Image) -> bool:
    """Whether an opened image's file has 16 bits for each colour; Pillow would keep the upper 8 alone."""
    raw_modes = (tile[3] if isinstance(tile[3], str) else (tile[3] or ("",))[0] for tile in image.tile)
    return image.mode in ("RGB", "RGBA") and any(";16" in str(raw_mode) for raw_mode in raw_modes)


def depth_of(largest: float) -> tuple[int, list[str]]:
    """The bits that the largest of an image's values needs, and what was noticed: 4080 is of 12."""
    bits = next((depth for depth in DEPTHS if largest < 2**depth), DEPTHS[-1])
    return bits, [] if bits == 16 else [f"its values need {bits} bits of those in the file, scaled by these"]


def to_8_bit(values: np.ndarray, bits: int) -> np.ndarray:
    """Numbers of so many bits, from 0 on -> uint8: of 12 bits, 4095 becomes 255."""
    return (values.clip(0) * (255 / (2**bits - 1))).round().astype(np.uint8)


def rows_at_once(height: int, width: int) -> Iterator[slice]:
    """The rows of an image, top down, in bands of half a million pixels."""
    step = max(1, _PIXELS_AT_ONCE // max(1, width))
    yield from (slice(top, min(top + step, height)) for top in range(0, height, step))


def to_rgb(image: Image.Image, path: object) -> tuple[np.ndarray, list[str]]:
    """(H, W, 3) uint8, and what was noticed.

    Grey and palettes become RGB, transparent pixels are laid on grey 114, whole numbers of more than 8 bits
    are scaled by the bits that they use, floats by 1 or, where they are larger, as whole numbers. Raises
    UserError for floats that are negative or not finite.
    """
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    if not image.mode.startswith(("I", "F")):
        for rows, band in _bands(image):
            rgb[rows] = _on_grey(band)
        return rgb, []
    values_of_bands = (_values(band) for _, band in _bands(image))
    extremes = np.array([(values.min(), values.max()) for values in values_of_bands])
    lowest, largest = float(extremes[:, 0].min()), float(extremes[:, 1].max())  # NaN where there is one
    if image.mode == "F":
        if not (lowest >= 0 and np.isfinite(largest)):
            raise UserError(f"{path}: an image of floats must hold numbers from 0 on.")
        bits = depth_of(largest)[0] if largest > 1 else 0
        notes = [f"floats of 0 to {largest:g}, read as whole numbers"] if bits else []
    else:
        bits, notes = depth_of(largest)
    for rows, band in _bands(image):
        values = _values(band)
        grey = to_8_bit(values, bits) if bits else (values * 255).round().astype(np.uint8)
        rgb[rows] = grey[..., None]
    return rgb, notes


def _bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    for rows in rows_at_once(image.height, image.width):
        yield rows, image.crop((0, rows.start, image.width, rows.stop))


def _values(band: Image.Image) -> np.ndarray:
    return np.asarray(band).astype(np.float64)


def _on_grey(band: Image.Image) -> np.ndarray:
    if "A" in band.getbands() or "transparency" in band.info:
        opaque = Image.new("RGBA", band.size, (GREY, GREY, GREY, 255))
        band = Image.alpha_composite(opaque, band.convert("RGBA"))
    return np.asarray(band.convert("RGB"))
