"""Points of ears, read once or several times, by a network in ONNX Runtime or in torch.

numpy only. The pipeline and the evaluation both go through here, so that what is measured is what is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from data.crops import crop_matrix
from students.inference.letterbox import points_in_frame, unmirrored, window_px
from students.inference.rescoring import extent_box, points_extent
from students.inference.upright import TURNED_FROM, turn_of, upright_matrix

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

    def given(self) -> dict[str, np.ndarray]:
        """The fields that are not None."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: values for name, values in given.items() if values is not None}


@dataclass(frozen=True)
class CropView:
    """How the crops of a landmarker are cut, and what is known of its points.

    margin: border round a box, as in the training. flip: how indices swap under mirroring, None where that is
    not known: then nothing is read in mirrored crops. mean_shape_unit: (K, 2) of `data.landmarks.Scheme`, or
    None: then turned ears are read as they lie.
    """

    image_px: int
    margin: float
    flip: list[int] | None = None
    mean_shape_unit: np.ndarray | None = None

    def matrix(self, box_xyxy: np.ndarray, margin: float | None = None) -> np.ndarray:
        """(2, 3) from a photograph to the crop of a box (4,) px, with another margin where one is given."""
        return crop_matrix(box_xyxy, self.image_px, self.margin if margin is None else margin)

    def again(self, points_px: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray | None:
        """(2, 3) to the crop in which the points (K, 2) px, read in a box, are read again: that of their
        extent, turned upright where they are turned; None where their extent is another place than the box.
        """
        return None if extent_box(points_px, box_xyxy) is None else self.upright(points_px)

    def upright(self, points_px: np.ndarray) -> np.ndarray:
        """(2, 3) to the crop of the extent of points (K, 2) px, turned upright where they are turned."""
        if self.mean_shape_unit is not None and self.flip is not None:
            turn = turn_of(points_px, self.mean_shape_unit, self.flip)
            if abs(turn) >= TURNED_FROM:
                return upright_matrix(points_px, turn, self.image_px, self.margin)
        return self.matrix(points_extent(points_px))


# (photographs (H, W, 3) uint8, a matrix each to its crop, whether mirrored) -> their points, unmirrored
ReadOnce = Callable[[Sequence[np.ndarray], Sequence[np.ndarray], bool], PredictedPoints]


def read_points(
    read_once: ReadOnce,
    view: CropView,
    photographs: Sequence[np.ndarray],
    boxes_xyxy: Sequence[np.ndarray],
    looks: str,
    margin: float | None = None,
    upright: bool = True,
) -> PredictedPoints:
    """The points of N ears, given N photographs (H, W, 3) uint8 and N boxes (4,) px of them.

    looks: "one" reading in the given box; or "many": read in it, then again in the crop of `CropView.again`,
    plain and mirrored, of which the mean counts. margin: of the given boxes, where it is not the training's.
    upright: whether turned ears are read upright then.
    """
    first = read_once(photographs, [view.matrix(box, margin) for box in boxes_xyxy], False)
    if looks == "one":
        return first
    view = view if upright else replace(view, mean_shape_unit=None)
    pairs = zip(first.points_px, boxes_xyxy, strict=True)
    matrices = {row: found for row, pair in enumerate(pairs) if (found := view.again(*pair)) is not None}
    if not matrices:
        return first
    rows = np.array(list(matrices))
    again = [photographs[row] for row in rows], list(matrices.values())
    readings = [
        read_once(*again, mirrored) for mirrored in ((False,) if view.flip is None else (False, True))
    ]
    changed = {}
    for name, values in first.given().items():
        changed[name] = values.copy()
        changed[name][rows] = np.mean([getattr(reading, name) for reading in readings], axis=0)
    return replace(first, **changed)


def in_photographs(
    view: CropView,
    matrices: Sequence[np.ndarray],
    mirrored: bool,
    points_unit: np.ndarray,
    confidence: np.ndarray,
    error_unit: np.ndarray | None = None,
    ear: np.ndarray | None = None,
) -> PredictedPoints:
    """What a network gave for N crops, mirrored ones or not, in the pixels of their photographs.

    matrices: N of (2, 3), photograph px -> crop px. points_unit (N, K, 2); confidence (N, K); error_unit
    (N, K), a fraction of the crop's side; ear (N,).
    """
    if mirrored:
        points_unit, confidence = unmirrored(points_unit, confidence, view.flip)
        error_unit = None if error_unit is None else error_unit[:, list(view.flip)]
    pairs = zip(points_unit, matrices, strict=True)
    points_px = np.stack([points_in_frame(points, matrix, view.image_px) for points, matrix in pairs])
    error_px = None if error_unit is None else error_unit * window_px(matrices, view.image_px)[:, None]
    return PredictedPoints(points_px, confidence, ear, error_px)


def join_predictions(parts: Sequence[PredictedPoints]) -> PredictedPoints:
    """Those of several batches by one network, at least one, as one."""
    names = parts[0].given()
    return PredictedPoints(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )
