"""The landmark scheme: names of the points, curves that join them, what mirroring does to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import UserError, did_you_mean, shown
from configs.reading.content import read_yaml
from data.landmarks_17 import LANDMARKS_17

NUM_LANDMARKS = 17
# One a curve (RGB), distinct also for people who do not see red from green (Okabe and Ito, 2008).
CURVE_COLOURS = ((86, 180, 233), (240, 228, 66), (230, 159, 0), (204, 121, 167), (0, 158, 115), (213, 94, 0))


@dataclass(frozen=True)
class Scheme:
    """Names, curves and flip permutation of one set of landmarks.

    `curves` maps a name to the indices it joins, in order. After mirroring an image, the point of index `i`
    is read from index `flip[i]`. `mean_shape_unit` is (K, 2) in a box 0..1, face to the right, or None.
    """

    names: tuple[str, ...]
    curves: dict[str, list[int]]
    flip: list[int]
    mean_shape_unit: np.ndarray | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.names)

    def edges(self) -> list[tuple[int, int]]:
        """Pairs of indices to draw a line between; a pair that two curves share comes once."""
        pairs = [pair for curve in self.curves.values() for pair in zip(curve, curve[1:])]
        return list(dict.fromkeys(pairs))

    def to_plain(self) -> dict[str, Any]:
        """As a scheme file holds it; `from_plain` reads it back."""
        content = {"names": list(self.names), "curves": dict(self.curves), "flip": list(self.flip)}
        if self.mean_shape_unit is not None:
            content["mean_shape_unit"] = self.mean_shape_unit.tolist()
        return content

    @classmethod
    def from_plain(cls, content: Any, where: str) -> "Scheme":
        """A scheme from plain values, checked. Raises UserError naming `where`."""
        if not isinstance(content, Mapping):
            raise UserError(
                f"{where}: a landmark scheme is a mapping with `names` and `curves`, found {shown(content)}"
            )
        return _checked(dict(content), where)

    def mirror(self, points_px: np.ndarray, width_px: int) -> np.ndarray:
        """Points (..., K, 2) after mirroring an image of that width: x becomes width - 1 - x."""
        mirrored = np.array(points_px, copy=True)
        mirrored[..., 0] = width_px - 1 - mirrored[..., 0]
        return mirrored[..., self.flip, :]


def load_scheme(path: str | Path | None = None) -> Scheme:
    """Read a scheme file (YAML); without one, the project's 17 points.

    Raises UserError (a ValueError) when the file is missing, is not a mapping or contradicts itself.
    """
    return _seventeen() if path is None else _load(str(path))


@cache
def _seventeen() -> Scheme:
    return Scheme.from_plain(LANDMARKS_17, "the 17 points")


@cache
def _load(path: str) -> Scheme:
    content = read_yaml(path, "landmark scheme; it is a YAML file with `names` and `curves`")
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: a landmark scheme is a mapping with `names` and `curves`, "
            f"found {type(content).__name__}"
        )
    allowed = {"names", "curves", "flip", "ibug", "mean_shape_unit"}
    unknown = sorted(map(str, set(content) - allowed))
    if unknown:
        raise UserError(
            f"{path}: unknown key {unknown[0]!r} in the landmark scheme{did_you_mean(unknown[0], allowed)}"
        )
    return _checked(content, path)


def _checked(content: dict, path: str) -> Scheme:
    names = content.get("names")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: `names` must be a list of point names, found {shown(names)}")
    if len(set(names)) != len(names):
        raise UserError(f"{path}: `names` holds the same name twice")
    count = len(names)
    curves = content.get("curves") or {}
    if not isinstance(curves, dict):
        raise UserError(f"{path}: `curves` must map a name to a list of indices, found {shown(curves)}")
    for curve, indices in curves.items():
        if not isinstance(indices, list) or not all(_is_index(index, count) for index in indices):
            raise UserError(
                f"{path}: curve {shown(curve)} must hold indices 0..{count - 1}, found {shown(indices)}"
            )
    flip = content.get("flip") or list(range(count))
    indices = flip if isinstance(flip, list) and all(_is_index(index, count) for index in flip) else []
    if sorted(indices) != list(range(count)):
        raise UserError(f"{path}: `flip` must hold each index 0..{count - 1} once, found {shown(flip)}")
    if any(flip[flip[index]] != index for index in range(count)):
        raise UserError(
            f"{path}: `flip` must undo itself: mirroring twice gives the same ear, found {shown(flip)}"
        )
    return Scheme(
        tuple(names),
        {str(name): list(c) for name, c in curves.items()},
        list(flip),
        _mean_shape(content.get("mean_shape_unit"), count, path),
    )


def _mean_shape(values, count: int, path: str) -> np.ndarray | None:
    if values is None:
        return None
    try:
        shape = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        shape = np.empty(0, np.float32)
    if shape.shape != (count, 2) or not np.isfinite(shape).all():
        raise UserError(
            f"{path}: `mean_shape_unit` must hold {count} pairs of finite numbers, one for a name"
        )
    shape.setflags(write=False)
    return shape


def _is_index(value, count: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count
