"""Which image files are read: a fixed list of formats, told by content; suffixes say where to look first.

Pillow tries every reader that it knows unless it is told which, and one of them starts Ghostscript. HEIC is
read where `pi-heif` is installed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

try:
    import pi_heif
except ImportError:  # optional: all other formats are read without
    pi_heif = None

FORMATS = (
    "JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "JPEG2000", "AVIF", "PPM", "QOI", "SUN",
)  # fmt: skip
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".jpe", ".jfif", ".jfi", ".jif", ".mpo",
    ".apng", ".gif", ".dib", ".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c", ".avif", ".avifs", ".ppm",
    ".pgm", ".pbm", ".pnm", ".pfm", ".qoi", ".ras", ".sun", *HEIC_SUFFIXES,
)  # fmt: skip
VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".asf", ".3gp", ".3g2", ".mts",
    ".m2ts", ".ts", ".m2v", ".flv", ".f4v", ".ogv", ".vob", ".mjpeg", ".mjpg", ".qt", ".divx",
)  # fmt: skip
Kind = Literal["image", "video", ""]

_STILL_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"hevc")
_IMAGE_STARTS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"qoif",
    b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"P4\n", b"P5\n", b"P6\n", b"P7\n", b"\x59\xa6\x6a\x95",
)  # fmt: skip
_VIDEO_STARTS = (b"\x1a\x45\xdf\xa3", b"FLV\x01", b"0&\xb2u\x8ef\xcf\x11", b"\0\0\x01\xba", b"OggS")
_TS_PACKET_BYTES = 188


@cache
def pillow_formats() -> tuple[str, ...]:
    """The formats that Pillow may read, HEIC among them where it can be."""
    if pi_heif is None:
        return FORMATS
    pi_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


def kind_of_file(path: Path) -> Kind:
    """What a file is by its suffix, where that is a known one, else by its first bytes."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return "image"
    if suffix in VIDEO_SUFFIXES and suffix != ".ts":  # programmers write .ts files too
        return "video"
    try:
        return kind_of_content(path)
    except OSError:
        return ""


def kind_of_content(path: Path) -> Kind:
    """By the first bytes alone. Raises OSError for a file that cannot be opened."""
    with path.open("rb") as file:
        head = file.read(2 * _TS_PACKET_BYTES)
    if head[4:8] == b"ftyp":
        return "image" if head[8:12] in _STILL_BRANDS else "video"
    if head[:4] == b"RIFF":
        return {b"WEBP": "image", b"AVI ": "video"}.get(head[8:12], "")
    if head.startswith(_IMAGE_STARTS):
        return "image"
    if head.startswith(_VIDEO_STARTS) or _is_transport_stream(head):
        return "video"
    return ""


def _is_transport_stream(head: bytes) -> bool:
    """MPEG-TS, or with four bytes of time before each packet as camcorders write it."""
    starts = [(0, _TS_PACKET_BYTES), (4, 4 + _TS_PACKET_BYTES + 4)]
    return any(head[first : first + 1] == head[second : second + 1] == b"G" for first, second in starts)
