"""Points of ears, read once or several times, by a network in ONNX Runtime or in torch.

numpy only. The pipeline and the evaluation both go through here, so that what is measured is what is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from students.inference.rescoring import extent_box

LOOKS = ("one", "many")


@dataclass(frozen=True)
class PredictedPoints:
    """Points of N ears, each in the pixels of its photograph."""

    points_px: np.ndarray  # (N, K, 2) float32
    confidence: np.ndarray  # (N, K) float32, 0..1, how concentrated the heatmaps are
    ear: np.ndarray | None = None  # (N,) float32, the probability of an ear: of a landmarker with scores only
    error_px: np.ndarray | None = None  # (N, K) float32, expected distance from the truth: likewise
    boxes_xyxy: np.ndarray | None = None  # (N, 4) float32, of an EarDetector only

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.points_px)

    @property
    def sureness(self) -> np.ndarray:
        """(N,) 0..1, how sure it is that there are ears: `ear`, or else the mean confidence of the points."""
        return self.confidence.mean(axis=-1) if self.ear is None else self.ear

    def _given(self) -> dict[str, np.ndarray]:
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: values for name, values in given.items() if values is not None}


# (photographs (H, W, 3) uint8, boxes (4,) px, margin, whether in mirrored crops) -> their points, unmirrored
ReadOnce = Callable[[Sequence[np.ndarray], Sequence[np.ndarray], float, bool], PredictedPoints]


def read_points(
    read_once: ReadOnce,
    photographs: Sequence[np.ndarray],
    boxes_xyxy: Sequence[np.ndarray],
    margin: float,
    looks: str = "many",
    mirrors: bool = True,
    first_margin: float | None = None,
) -> PredictedPoints:
    """The points of N ears, given N photographs (H, W, 3) uint8 and N boxes (4,) px of them.

    looks: "one" reading in the given box; or "many": read in it, then again in the box of their extent, plain
    and, where `mirrors`, mirrored, of which the mean counts. margin: border round a box as in the training;
    first_margin: that of the given boxes, where it is another.
    """
    first = read_once(photographs, boxes_xyxy, margin if first_margin is None else first_margin, False)
    if looks == "one":
        return first
    pairs = zip(first.points_px, boxes_xyxy, strict=True)
    extents = {row: box for row, pair in enumerate(pairs) if (box := extent_box(*pair)) is not None}
    if not extents:
        return first
    rows = np.array(list(extents))
    again = [photographs[row] for row in rows], list(extents.values()), margin
    readings = [read_once(*again, mirrored) for mirrored in ((False, True) if mirrors else (False,))]
    changed = {}
    for name, values in first._given().items():
        changed[name] = values.copy()
        changed[name][rows] = np.mean([getattr(reading, name) for reading in readings], axis=0)
    return replace(first, **changed)


def join_predictions(parts: Sequence[PredictedPoints]) -> PredictedPoints:
    """Those of several batches by one network, at least one, as one."""
    names = parts[0]._given()
    return PredictedPoints(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )
