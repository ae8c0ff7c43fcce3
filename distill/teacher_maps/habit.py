"""A person's own habit of setting points, learnt from a few labelled ears: it moves what a landmarker reads.

People end the rims of an ear, and space points along them, each in their own way, and the way follows the
ear's shape. A landmarker reads that shape well; a ridge regression (Hoerl & Kennard, Technometrics 1970) from
it to where the person sets each point needs few labels, where a network learns as few ears by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import Ridge, RidgeCV

from configs.errors import UserError
from data.landmarks import Scheme
from data.metrics import nme
from students.inference.upright import Pose, pose_of

FEWEST_EARS = 5
_STRENGTHS = (1, 3, 10, 30, 100, 300, 1000)  # of the ridge, on shapes of unit deviation


@dataclass(frozen=True)
class Habit:
    """How far points are moved by the shape of the ear they were read on: one ridge a point."""

    scheme: Scheme
    spread: float
    ridges: tuple[Ridge, ...]
    error_read: float
    """Mean error of what was read of the labelled ears, a fraction of the diagonal (NME)."""
    error_moved: float
    """Of the same ears moved, each by the habit of the others (leave-one-out)."""

    @property
    def helps(self) -> bool:
        """Whether moved points lie nearer than those that were read, on ears that had no part in it."""
        return self.error_moved < self.error_read

    def in_words(self, ears: int) -> str:
        """A line for the user."""
        kept = "" if self.helps else "; no better, so the points stay as they were read"
        return (
            f"{ears} labelled ears: their points as read lie {self.error_read:.4f} of the diagonal from the "
            f"labels, moved by the habit of the others {self.error_moved:.4f}{kept}"
        )

    def moved(self, points: np.ndarray) -> np.ndarray:
        """Points (N, K, 2) px as read -> where the person would set them, (N, K, 2) float32 px."""
        poses = _poses(points, self.scheme)
        shapes = _shapes(points, poses, self.scheme)
        rows = shapes.reshape(len(shapes), -1) / self.spread
        moves = np.stack([ridge.predict(rows) for ridge in self.ridges], axis=1)
        return _points(shapes + moves, poses, self.scheme).astype(np.float32)


def learn_habit(read: np.ndarray, labelled: np.ndarray, visibility: np.ndarray, scheme: Scheme) -> Habit:
    """The habit by which `labelled` (N, K, 2) px lie where they do on ears whose points were read as `read`
    (N, K, 2) px; visibility (N, K), 0 where not labelled.

    The ridge's strength is the one with the least leave-one-out error. Raises UserError for a scheme without
    a mean shape, for fewer than 5 ears and for a point that fewer than 5 of them have.
    """
    _require_enough(visibility > 0, scheme)
    poses = _poses(read, scheme)
    shapes = _shapes(read, poses, scheme)
    away = _shapes(labelled, poses, scheme) - shapes
    flip = list(scheme.flip)
    seen = np.stack([ears[flip] if pose.mirrored else ears for ears, pose in zip(visibility > 0, poses)])
    rows = shapes.reshape(len(shapes), -1)
    spread = float(rows.std(axis=0).mean())
    rows = rows / spread
    # how far from its label a point lies that is moved by the others' habit
    left_out = np.zeros((*seen.shape, len(_STRENGTHS)))
    for point, ears in enumerate(seen.T):
        fitted = RidgeCV(_STRENGTHS, store_cv_results=True).fit(rows[ears], away[ears, point])
        left_out[ears, point] = np.sqrt(fitted.cv_results_.sum(axis=1))
    tried = {}
    for strength, distances in zip(_STRENGTHS, np.moveaxis(left_out, -1, 0), strict=True):
        # which way it misses is not kept, and its error does not depend on that
        missed = shapes + away + np.stack([distances, np.zeros_like(distances)], axis=-1)
        tried[strength] = _error(_points(missed, poses, scheme), labelled, visibility)
    best = min(tried, key=tried.get)
    ridges = tuple(Ridge(alpha=best).fit(rows[ears], away[ears, point]) for point, ears in enumerate(seen.T))
    return Habit(scheme, spread, ridges, _error(read, labelled, visibility), tried[best])


def _error(points: np.ndarray, labelled: np.ndarray, visibility: np.ndarray) -> float:
    return float(np.nanmean(nme(points, labelled, visibility)))


def _poses(points: np.ndarray, scheme: Scheme) -> list[Pose]:
    return [pose_of(ear, scheme.mean_shape_unit, list(scheme.flip)) for ear in points]


def _require_enough(seen: np.ndarray, scheme: Scheme) -> None:
    if scheme.mean_shape_unit is None or scheme.flip is None:
        raise UserError("a habit can be learnt of points whose scheme has `flip` and `mean_shape_unit` only")
    fewest = int(seen.sum(axis=0).argmin())
    if seen[:, fewest].sum() < FEWEST_EARS:
        raise UserError(
            f"{len(seen)} labelled ears, {seen[:, fewest].sum()} of which have the point "
            f"{scheme.names[fewest]}; a habit is learnt from {FEWEST_EARS} or more"
        )


def _shapes(points: np.ndarray, poses: Sequence[Pose], scheme: Scheme) -> np.ndarray:
    """Points (N, K, 2) px -> the same laid over the mean shape, facing right."""
    return np.stack([_as_mirrored(_laid(*ear), ear[1], scheme) for ear in zip(points, poses, strict=True)])


def _points(shapes: np.ndarray, poses: Sequence[Pose], scheme: Scheme) -> np.ndarray:
    """What `_shapes` made, back as points (N, K, 2) px."""
    found = []
    for shape, pose in zip(shapes, poses, strict=True):
        shape = _as_mirrored(shape, pose, scheme)
        at = pose.factor * (shape[:, 0] + 1j * shape[:, 1]) + pose.centre
        found.append(np.column_stack([at.real, at.imag]))
    return np.stack(found)


def _laid(points: np.ndarray, pose: Pose) -> np.ndarray:
    at = (points[:, 0].astype(np.float64) + 1j * points[:, 1] - pose.centre) / pose.factor
    return np.column_stack([at.real, at.imag])


def _as_mirrored(shape: np.ndarray, pose: Pose, scheme: Scheme) -> np.ndarray:
    """A shape (K, 2) of an ear that faces left as one that faces right, or the other way round."""
    return shape[list(scheme.flip)] * np.array([-1.0, 1.0]) if pose.mirrored else shape
