"""Annotations written for other pixels than the picture has: not yet turned upright, or of another size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import UserError
from data.images import SIDEWAYS, image_header

_NO_WORD_OF_TURN = "picture with an EXIF turn that its annotations do not tell of, taken as upright"
_ROUNDING_PX = 1.0  # a resized picture's side may be off by this


@dataclass(frozen=True)
class Seen:
    """A picture's upright size px, and the EXIF tag that says how it was turned to stand so (1: not)."""

    width: int
    height: int
    orientation: int = 1

    @property
    def raw(self) -> tuple[int, int]:
        """(width, height) as the file has them, before the turn."""
        sideways = self.orientation in SIDEWAYS
        return (self.height, self.width) if sideways else (self.width, self.height)


@dataclass(frozen=True)
class Fit:
    """From the annotations' pixels to the upright picture's: scaled, then turned. change: "" for none."""

    scale: tuple[float, float]
    seen: Seen
    turned: bool
    change: str

    def boxes(self, box_xyxy: Sequence[float]) -> list[float]:
        """A box (edges); an inverted one stays so, for the checks to find."""
        (x1, y1), (x2, y2) = self._edges([box_xyxy[:2], box_xyxy[2:]]).tolist()
        if box_xyxy[0] <= box_xyxy[2] and box_xyxy[1] <= box_xyxy[3]:
            return [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
        return [x1, y1, x2, y2]

    def points(self, points_px: np.ndarray) -> np.ndarray:
        """(K, 2) px, pixel centres at integers."""
        return self._edges(points_px + 0.5) - 0.5

    def _edges(self, places: object) -> np.ndarray:
        x, y = (np.asarray(places, dtype=np.float64) * self.scale).T
        width, height = self.seen.raw
        if not self.turned:
            return np.stack([x, y], axis=1)
        upright = {
            2: (width - x, y), 3: (width - x, height - y), 4: (x, height - y), 5: (y, x),
            6: (height - y, x), 7: (height - y, width - x), 8: (y, width - x),
        }[self.seen.orientation]  # fmt: skip
        return np.stack(upright, axis=1)


def look_at(path: Path) -> Seen:
    """Of a picture's header. Raises UserError as `data.images.image_size`."""
    height, width, orientation = image_header(path)
    return Seen(width, height, orientation)


def turns_ignored(stated: Sequence[tuple[float, float] | None], seen: Sequence[Seen]) -> bool | None:
    """Whether the tool that wrote these sizes took pictures as they lie in their files, or turned upright;
    None where no picture tells.
    """
    votes = [
        _scale(size, picture.raw) is not None
        for size, picture in zip(stated, seen, strict=True)
        if size is not None
        and picture.orientation in SIDEWAYS
        and (_scale(size, picture.raw) is None) != (_scale(size, (picture.width, picture.height)) is None)
    ]
    return votes[0] if votes and all(vote == votes[0] for vote in votes) else None


def fit(stated: tuple[float, float] | None, seen: Seen, ignored: bool | None, fractions: bool = False) -> Fit:
    """How annotations for a picture of `stated` (width, height) px come to what is seen of it.

    ignored: as `turns_ignored` says of the whole file; fractions: places are fractions of the sides. Raises
    UserError naming both sizes where they are of different proportions.
    """
    upright, raw = (seen.width, seen.height), seen.raw
    if stated is None:
        scale = (float(seen.width), float(seen.height)) if fractions else (1.0, 1.0)
        return Fit(scale, seen, False, "" if seen.orientation == 1 else _NO_WORD_OF_TURN)
    as_upright, as_raw = _scale(stated, upright), _scale(stated, raw)
    if seen.orientation == 1 or as_raw is None or (as_upright is not None and not ignored):
        if as_upright is None:
            raise UserError(
                f"annotated at {stated[0]:g} x {stated[1]:g} px, the picture has other proportions "
                f"({seen.width} x {seen.height} px)"
            )
        change = "" if as_upright == (1.0, 1.0) else "scaled to the picture, annotated at another size"
        if seen.orientation != 1 and as_raw is not None and ignored is None:
            change = _NO_WORD_OF_TURN
        return Fit(as_upright, seen, False, change)
    return Fit(as_raw, seen, True, "turned upright, as the picture's EXIF tag says")


def _scale(stated: tuple[float, float], size: tuple[int, int]) -> tuple[float, float] | None:
    """Of both sides, where `size` is `stated` resized."""
    if tuple(stated) == size:
        return 1.0, 1.0
    if min(stated) <= 0:
        return None
    across, down = size[0] / stated[0], size[1] / stated[1]
    off = min(abs(down * stated[0] - size[0]), abs(across * stated[1] - size[1]))
    return (across, down) if off <= _ROUNDING_PX else None
