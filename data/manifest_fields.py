"""The fields of a manifest brought to their types: strings, numbers, visibility; or an error that says what
is wrong.
"""

from __future__ import annotations

import sys

import numpy as np

from configs.errors import UserError


def as_strings(values: object, name: str, count: int | None = None) -> np.ndarray:
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


def as_numbers(values: object, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
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


def as_visibility(landmarks: np.ndarray, visibility: object) -> np.ndarray:
    """(N, K) uint8. Without a given one, points that are numbers count as visible, NaN as not annotated."""
    if visibility is None:
        visibility = np.where(np.isfinite(landmarks).all(axis=2), 2, 0)
    array = as_numbers(visibility, "visibility", landmarks.shape[:2])
    if not np.isfinite(array).all() or (array < 0).any() or (array != np.floor(array)).any():
        raise UserError("visibility must hold 0 (not annotated), 1 (hidden) or 2 (visible).")
    return array.clip(0, 255).astype(np.uint8)
