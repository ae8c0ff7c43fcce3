"""Image files to upright 8-bit RGB, whatever they are, or an error that names the file."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from configs.errors import UserError
from data.image_kinds.cut_jpeg import whole_but_for_its_end
from data.image_kinds.formats import HEIC_SUFFIXES, SUFFIXES, kind_of_file, pi_heif, pillow_formats
from data.image_kinds.levels import is_deep_colour, to_rgb
from data.image_kinds.likely_cause import likely_cause

__all__ = [
    "SIDEWAYS",
    "SUFFIXES",
    "files_below",
    "find_images",
    "image_header",
    "image_size",
    "read_image",
    "read_image_and_notes",
]

MIN_SIDE_PX = 2
MAX_SIDE_PX = 16_384
MAX_PIXELS = 100_000_000
MAX_MEMORY_BYTES = 1_100_000_000  # that one image may take while it is read
# bytes that decoding and conversion hold of a pixel at once: decoded, turned, and as 8-bit RGB
_BYTES_A_PIXEL, _BYTES_A_DEEP_PIXEL = 11, 16
_EXIF_ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width


def read_image(path: str | os.PathLike) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned upright by its EXIF tag. See `read_image_and_notes`."""
    return read_image_and_notes(path)[0]


def read_image_and_notes(path: str | os.PathLike) -> tuple[np.ndarray, list[str]]:
    """(H, W, 3) uint8 RGB, turned upright by its EXIF tag, and what a user should know of how it was read.

    Transparent pixels are laid on grey 114, values of more than 8 bits are scaled by the bits that they use,
    grey and palette images become RGB, of several frames or pages the first is read, and a JPEG may lack its
    end mark. Raises UserError with the path when the file is missing, truncated, no image of the formats that
    are read (`data.image_kinds.formats`), no regular file, smaller than 2 px, larger than 16,384 px a side or
    than 100 million pixels, 68 million where they have 16 bits a colour.
    """
    with _damage_is_a_user_error(path), _open(path) as image:
        notes = _frame_notes(image)
        loaded, more = _loaded(image, path)
        ImageOps.exif_transpose(loaded, in_place=True)
        rgb, of_levels = to_rgb(loaded, path)
        return rgb, [*notes, *more, *of_levels]


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """(height, width) px of the upright image, read from the header alone. Raises as `read_image`."""
    return image_header(path)[:2]


def image_header(path: str | os.PathLike) -> tuple[int, int, int]:
    """(height, width) px of the upright image, and the EXIF orientation, 1 to 8, that it is turned by."""
    with _damage_is_a_user_error(path), _open(path) as image:
        width, height = image.size
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    return (width, height, orientation) if orientation in SIDEWAYS else (height, width, orientation)


def find_images(folder: str | os.PathLike) -> list[Path]:
    """All image files below a folder, sorted; hidden files and folders are left out.

    Those of a known suffix, and files of another, or none, that begin like an image.
    """
    return [path for path in files_below(folder) if kind_of_file(path) == "image"]


def files_below(folder: str | os.PathLike) -> list[Path]:
    """All files below a folder, sorted; hidden files, and those in hidden folders, are left out."""
    folder = Path(folder)
    return sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts) and path.is_file()
    )


def _loaded(image: Image.Image, path: str | os.PathLike) -> tuple[Image.Image, list[str]]:
    """An opened image with its pixels, and what was noticed. Raises what Pillow raises."""
    if is_deep_colour(image):
        from data.image_kinds.deep_colour import deep_colour

        shallow, notes = deep_colour(Path(path).read_bytes())
        shallow.getexif()[_EXIF_ORIENTATION] = image.getexif().get(_EXIF_ORIENTATION, 1)
        return shallow, notes
    try:
        image.load()
    except OSError:
        whole = whole_but_for_its_end(Path(path).read_bytes()) if image.format == "JPEG" else None
        if whole is None:
            raise
        return whole, ["the JPEG lacks its end, all of its picture is there"]
    return image, []


def _frame_notes(image: Image.Image) -> list[str]:
    """Of an animation, or a file of several pages; a phone's second picture of the same view says nothing."""
    frames = 1 if image.format in ("MPO", "HEIF") else getattr(image, "n_frames", 1)
    return [f"the first of {frames} frames or pages is read"] if frames > 1 else []


def _open(path: str | os.PathLike) -> Image.Image:
    path = Path(path)
    if not os.path.exists(path):
        raise UserError(f"{path}: no such image.")
    if not os.path.isfile(path):  # a pipe would be waited for, a device has no end
        what = "a folder" if os.path.isdir(path) else "no regular file but a pipe or device"
        raise UserError(f"{path}: is {what}, expected an image.")
    try:
        image = Image.open(path, formats=pillow_formats())
    except Image.DecompressionBombError:
        raise UserError(f"{path}: has more than {MAX_PIXELS:,} pixels, shrink it first.") from None
    except Exception as error:
        raise UserError(f"{path}: {_why_not(path, error)}.") from None
    width, height = image.size
    bytes_a_pixel = _BYTES_A_DEEP_PIXEL if is_deep_colour(image) else _BYTES_A_PIXEL
    if min(width, height) < MIN_SIDE_PX:
        fault = f"smaller than {MIN_SIDE_PX} px a side"
    elif max(width, height) > MAX_SIDE_PX:
        fault = f"larger than {MAX_SIDE_PX:,} px a side, shrink it first"
    elif width * height > MAX_PIXELS:
        fault = f"more than {MAX_PIXELS:,} pixels, shrink it first"
    elif width * height * bytes_a_pixel > MAX_MEMORY_BYTES:
        most = MAX_MEMORY_BYTES // bytes_a_pixel
        fault = f"more than {most:,} pixels of 16 bits a colour, shrink it first or save it with 8 bits"
    else:
        return image
    image.close()
    raise UserError(f"{path}: the image is {width} x {height} px, {fault}.")


def _why_not(path: Path, error: Exception) -> str:
    """Why a file that is there could not be opened as an image."""
    cause = likely_cause(path) if os.access(path, os.R_OK) else str(error)
    if cause == "the file is empty":
        return cause
    if not cause and path.suffix.lower() in HEIC_SUFFIXES:
        cause = "HEIC is read with `pip install pi-heif`" if pi_heif is None else "its HEIC is damaged"
    return f"not an image that can be read ({cause or 'of no format that is read, or damaged'})"


@contextlib.contextmanager
def _damage_is_a_user_error(path: str | os.PathLike) -> Iterator[None]:
    """The readers of Pillow, its plugins and OpenCV raise anything at all for bytes that are no image.

    They warn of large images (our own limits follow) and of odd metadata (no pixel depends on it).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: the image is truncated or damaged ({error}).") from None
