"""The columns of a manifest brought to their types, and its paths from below a folder and back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from configs.errors import UserError

_ROWS_AT_ONCE = 2**16


def strings(values: object, name: str, count: int | None = None) -> np.ndarray:
    """`values` as (N,) str, not copied where they are. Raises UserError for others, or other than `count`."""
    array = np.asarray(values)
    if array.size == 0:
        array = np.empty(0, dtype=str)
    if array.ndim != 1 or (count is not None and len(array) != count):
        raise UserError(f"{name} has shape {array.shape}, expected ({'N' if count is None else count},).")
    if array.dtype.kind not in "UOiu" or (
        array.dtype.kind == "O" and not all(isinstance(v, str) for v in array)
    ):
        raise UserError(f"{name} must hold strings, not {array.dtype}.")
    if array.dtype.kind != "U":
        array = np.array(array.tolist(), dtype=str)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if array.dtype.itemsize and array.size:
        _refuse_no_characters(array, name)
    return array  # not copied: of a million paths each copy is 0.3 GB


def numbers(values: object, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """`values` as float32 of `shape`, None for a side of any length. Raises UserError for others."""
    try:
        with np.errstate(over="ignore"):  # too large a number becomes infinity, which is refused by its row
            array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{name} is not an array of numbers ({error}).") from None
    if array.size == 0 and shape[0] == 0 and array.ndim != len(shape):
        array = array.reshape([side or 0 for side in shape])
    fits = array.ndim == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        want = ", ".join("K" if side is None else str(side) for side in shape)
        raise UserError(f"{name} has shape {array.shape}, expected ({want}).")
    return array


def below(paths: np.ndarray, folder: Path) -> np.ndarray:
    """(N,) str: relative paths as paths below `folder`, absolute ones as they are."""
    return np.array([os.path.normpath(os.path.join(folder, path)) for path in paths.tolist()], dtype=str)


def relative_below(paths: np.ndarray, folder: Path) -> np.ndarray:
    """(N,) str: paths below `folder` relative to it, others absolute."""
    start = os.path.join(folder, "")
    absolute = (os.path.abspath(path) for path in paths.tolist())
    stored = [path.removeprefix(start).replace(os.sep, "/") for path in absolute]
    return np.array(stored, dtype=str)


def _refuse_no_characters(array: np.ndarray, name: str) -> None:
    """Raise UserError for numbers that are no characters of a path: beyond Unicode, surrogates (but those by
    which Python names bytes that are none), a NUL before the end.
    """
    for start in range(0, len(array), _ROWS_AT_ONCE):
        codes = array[start : start + _ROWS_AT_ONCE].view(np.uint32).reshape(-1, array.dtype.itemsize // 4)
        surrogate = (codes >= 0xD800) & (codes <= 0xDFFF) & ~((codes >= 0xDC80) & (codes <= 0xDCFF))
        inner_nul = (codes[:, :-1] == 0) & (codes[:, 1:] != 0)
        bad = ((codes > sys.maxunicode) | surrogate).any(axis=1) | inner_nul.any(axis=1)
        if bad.any():
            raise UserError(f"{name} holds what is no character, first in row {start + int(bad.argmax())}.")
