"""What a file is that should have been an image, a model or weights, for the words of an error."""

from __future__ import annotations

import os

_HEAD_BYTES = 1024
_ZIP = b"PK\x03\x04"
_BEGINNINGS = (
    (b"version https://git-lfs", "it is a Git LFS pointer, not the file itself: `git lfs pull` fetches that"),
    (b"%!PS", "it is PostScript"),
    (b"%PDF", "it is a PDF"),
    (_ZIP, "it is a ZIP archive"),
    (b"\x1f\x8b", "it is a gzip archive"),
    (b"Rar!", "it is a RAR archive"),
    (b"7z\xbc\xaf", "it is a 7z archive"),
    (b"\x89PNG", "it is a PNG image"),
    (b"\xff\xd8\xff", "it is a JPEG image"),
    (b"\x93NUMPY", "it is a NumPy array"),
    (b"\x89HDF", "it is an HDF5 file"),
)


def likely_cause(path: str | os.PathLike, zip_is_right: bool = False) -> str:
    """Half a sentence that says what a file is, by its first bytes; "" where they say nothing.

    zip_is_right: a ZIP archive is what is wanted, as torch writes weights.

    Raises OSError for a file that cannot be opened.
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "the file is empty"
    for beginning, cause in _BEGINNINGS:
        if head.startswith(beginning) and not (zip_is_right and beginning == _ZIP):
            return cause
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "it is an HTML page: the download gave a page instead of the file"
    if text.startswith((b"<?xml", b"<svg")):
        return "it is XML"
    if not head.strip(b"\0"):
        return "it begins with nothing but zeros: a copy or download that was not finished"
    if text.startswith((b"{", b"[")):
        return "it is JSON"
    return ""
