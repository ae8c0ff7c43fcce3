"""Image files to upright 8-bit RGB, whatever they are, or an error that names the file."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from configs.errors import UserError

GREY = 114  # what lies outside an image, in crops and letterboxes, as detectors of the YOLO family pad
MIN_SIDE_PX = 2
MAX_SIDE_PX = 16_384
MAX_PIXELS = 100_000_000
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_EXIF_ORIENTATION = 0x0112


def read_image(path: str | os.PathLike) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned upright by its EXIF tag.

    Transparent pixels are laid on grey 114, 16-bit values are scaled to 8, grey and palette images become
    RGB. Raises UserError with the path when the file is missing, truncated, no image, smaller than 2 px,
    larger than 16,384 px a side or than 100 million pixels.
    """
    try:
        with _quiet(), _open(path) as image:
            image.load()
            return np.ascontiguousarray(_to_rgb(ImageOps.exif_transpose(image), path))
    except (OSError, SyntaxError, EOFError, ValueError) as error:  # Pillow's readers raise all of these
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: the image is truncated or damaged ({error}).") from None


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """(height, width) px of the upright image, read from the header alone. Raises as `read_image`."""
    with _quiet(), _open(path) as image:
        width, height = image.size
        turned = image.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def find_images(folder: str | os.PathLike) -> list[Path]:
    """All image files below a folder, sorted; hidden files and folders are left out."""
    folder = Path(folder)
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _open(path: str | os.PathLike) -> Image.Image:
    path = Path(path)
    try:
        image = Image.open(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such image.") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, expected an image.") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: has more than {MAX_PIXELS:,} pixels, shrink it first.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        reason = (
            "the file is empty" if path.stat().st_size == 0 else f"not an image that can be read ({error})"
        )
        raise UserError(f"{path}: {reason}.") from None
    width, height = image.size
    if min(width, height) < MIN_SIDE_PX:
        fault = f"smaller than {MIN_SIDE_PX} px a side"
    elif max(width, height) > MAX_SIDE_PX:
        fault = f"larger than {MAX_SIDE_PX:,} px a side, shrink it first"
    elif width * height > MAX_PIXELS:
        fault = f"more than {MAX_PIXELS:,} pixels, shrink it first"
    else:
        return image
    image.close()
    raise UserError(f"{path}: the image is {width} x {height} px, {fault}.")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns of large images (our own limits follow) and of odd metadata (no pixel depends on it)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _to_rgb(image: Image.Image, path: str | os.PathLike) -> np.ndarray:
    """(H, W, 3) uint8. 16-bit grey is scaled by its full range (65535 -> 255), floats must lie in 0..1."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)
        grey = (values.clip(0, 65535) / 257).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        values = np.asarray(image)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise UserError(f"{path}: an image of floats must lie in 0..1.")
        return np.repeat((values * 255).round().astype(np.uint8)[..., None], 3, axis=2)
    if "A" in image.getbands() or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, (GREY, GREY, GREY, 255))
        return np.asarray(Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB"))
    return np.asarray(image.convert("RGB"))
