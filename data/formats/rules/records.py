"""What an annotation file says, before the rules that all formats share are applied to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Ear:
    """One annotation in the file's pixels.

    label: its class, "" for none. where: for messages. box_xyxy: edges; None: it is drawn round the points.
    points: (K, 3) x, y (pixel centres at integers), visibility; None for no points. point_names: of those,
    None where they have none. group: what ties it to others, "" for nothing; within: numbers of the boxes
    that its points lie in. fault: why it cannot be used, "" for nothing.
    """

    label: str
    where: str
    box_xyxy: Sequence[float] | None
    points: np.ndarray | None = None
    point_names: tuple[str, ...] | None = None
    group: str = ""
    within: tuple[int, ...] = ()
    source: str = ""
    score: float | None = None
    fault: str = ""


@dataclass(frozen=True)
class Point:
    """A point that a tool keeps by itself: x, y px, pixel centres at integers."""

    name: str
    x: float
    y: float
    visibility: int
    where: str
    group: str = ""
    label: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture as the file names it. stem: of the picture when that name leads nowhere.

    size: (width, height) px that it was annotated at, None where the file does not say; fractions: places are
    fractions of its sides (points those minus a half).
    """

    name: str
    ears: list[Ear] = field(default_factory=list)
    loose: list[Point] = field(default_factory=list)
    size: tuple[float, float] | None = None
    stem: str = ""
    source: str = ""
    fractions: bool = False
