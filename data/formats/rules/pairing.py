"""Points that a tool keeps apart from boxes, given to the ears that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data.formats.rules.records import Ear, Point
from data.manifest import NOT_ANNOTATED


def pair(ears: Sequence[Ear], loose: Sequence[Point]) -> list[Ear]:
    """One picture's ears with their points: those of the same group, else those that lie in the box.

    ears: with a box, with points, or with both; loose: single points. Where there is no box, points are
    an ear of their own; single points outside every box, and points in several, become an ear with a fault.
    """
    boxed = [ear for ear in ears if ear.box_xyxy is not None or ear.fault]
    sets = [ear for ear in ears if ear.box_xyxy is None and not ear.fault]
    homes: dict[int, list[Ear]] = {}
    alone: list[Ear] = []
    for given in [*sets, *_sets_of(loose, boxed)]:
        home = _home(given, boxed)
        if len(home) == 1:
            homes.setdefault(home[0], []).append(given)
        elif home:
            alone.append(replace(given, fault="points that lie in several boxes"))
        else:
            alone.append(given)
    paired = []
    for number, ear in enumerate(boxed):
        mine = homes.get(number, [])
        if len(mine) > 1 or (mine and ear.points is not None):
            ear = replace(ear, fault="a box with several sets of points")
        elif mine:
            ear = replace(ear, points=mine[0].points, point_names=mine[0].point_names, fault=mine[0].fault)
        paired.append(ear)
    return paired + alone


def named_points(points: Sequence[Point]) -> tuple[np.ndarray, tuple[str, ...] | None, str]:
    """(K, 3) x, y, visibility; names, None where all are alike; the fault of a name that comes twice."""
    values = np.array([[point.x, point.y, point.visibility] for point in points], dtype=np.float64)
    names = tuple(point.name for point in points)
    if len(set(names)) == 1 and (len(names) > 1 or not names[0]):
        return values, None, ""
    return values, names, "" if len(set(names)) == len(names) else "two points of the same name"


def _sets_of(loose: Sequence[Point], boxed: Sequence[Ear]) -> list[Ear]:
    """Single points gathered: those of a group, those of a box, and the rest."""
    gathered: dict[object, list[Point]] = {}
    for point in loose:
        same = tuple(n for n, ear in enumerate(boxed) if point.group and ear.group == point.group)
        key: object = same or point.group
        if not key:
            around = tuple(n for n, ear in enumerate(boxed) if _inside(ear, [(point.x, point.y)]).all())
            key = around or ("outside",)
        gathered.setdefault(key, []).append(point)
    outside = gathered.pop(("outside",), [])
    within = [key for key in gathered if isinstance(key, tuple) and len(key) == 1]
    if outside and len(within) == 1 and len(gathered) == 1:  # one ear, some of its points beyond its box
        gathered[within[0]] += outside
    elif outside and not gathered and len(boxed) == 1 and not boxed[0].group:
        gathered[0,] = outside
    elif outside:
        gathered[() if boxed else "outside"] = outside
    sets = []
    for key, points in gathered.items():
        values, names, fault = named_points(points)
        group = points[0].group
        ear = Ear(points[0].label, points[0].where, None, values, names, group=group, fault=fault)
        if key == ():
            ear = replace(ear, fault="points outside every box")
        sets.append(replace(ear, within=key) if isinstance(key, tuple) else ear)
    return sets


def _home(given: Ear, boxed: Sequence[Ear]) -> list[int]:
    """Which of the boxed ears some points may belong to."""
    if given.within:
        return list(given.within)
    if given.group:
        same = [number for number, ear in enumerate(boxed) if ear.group == given.group]
        if same:
            return same
    if given.points is None:
        return []
    seen = given.points[given.points[:, 2] > NOT_ANNOTATED, :2]
    if not len(seen):
        return []
    return [n for n, ear in enumerate(boxed) if not ear.group and _inside(ear, seen).mean() > 0.5]


def _inside(ear: Ear, points: object) -> np.ndarray:
    if ear.box_xyxy is None:
        return np.zeros(len(points), dtype=bool)  # type: ignore[arg-type]
    x1, y1, x2, y2 = ear.box_xyxy
    places = np.asarray(points) + 0.5
    return ((places >= [x1, y1]) & (places <= [x2, y2])).all(axis=1)
