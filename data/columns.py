"""The columns of a manifest brought to their types, and its paths from below a folder and back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from configs.errors import UserError


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
        return np.array(array.tolist(), dtype=str)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if array.dtype.itemsize and array.size and array.view(np.uint32).max() > sys.maxunicode:
        raise UserError(f"{name} holds what is no character.")
    return array  # not copied: of a million paths each copy is 0.3 GB


def numbers(values: object, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """`values` as float32 of `shape`, None for a side of any length. Raises UserError for others."""
    try:
        array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
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
