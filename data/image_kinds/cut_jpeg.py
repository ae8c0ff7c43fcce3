"""A JPEG that lacks its end mark, though all of its picture is there."""

from __future__ import annotations

import hashlib
import io

from PIL import Image

from data.image_kinds.levels import rows_at_once

_END_MARK = b"\xff\xd9"
_MORE_BYTES = (b"\x55" * 512, b"\xaa" * 512)  # what a decoder that needs more takes for picture


def whole_but_for_its_end(content: bytes) -> Image.Image | None:
    """The image, loaded, of a JPEG whose end mark is missing; None where more of it is missing than that.

    A decoder that has the whole picture reads no further: then it is the same whatever bytes follow.
    """
    try:
        first = _digest(_decoded(content + _MORE_BYTES[0] + _END_MARK))  # one of the two in memory at a time
        image = _decoded(content + _MORE_BYTES[1] + _END_MARK)
    except (OSError, SyntaxError):
        return None
    return image if _digest(image) == first else None


def _decoded(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=("JPEG",))
    image.load()
    return image


def _digest(image: Image.Image) -> bytes:
    digest = hashlib.sha256()
    for rows in rows_at_once(image.height, image.width):
        digest.update(image.crop((0, rows.start, image.width, rows.stop)).tobytes())
    return digest.digest()
