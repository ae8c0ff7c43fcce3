"""Boxes rescored by the landmarks: whether a box holds an ear, where it ends, and where to predict again.

The pipeline and the evaluation both go through here, so that what is measured is what is used; numpy only.
The numbers below were chosen on rendered scenes: docs/experiments/detector.md, "Rescoring by the landmarks,
and a frame in two sizes"; docs/experiments/photographs.md, "Photographs cut close to the ear".
"""

import numpy as np

from data.boxes import NMS_IOU, nms_numpy, paired_iou

EAR_THRESHOLD = 0.54  # of `ear_score`, for use: the best F1 of the students that ship on rendered scenes
FRAME_SCORE = 0.6  # of the frame itself as a proposal: with it a mean confidence of 0.7 is needed
SAME_EAR_IOU = 0.3  # of a box and the extent of its points: below, they are hardly of one ear
EXTENT_SHARE = 0.7  # of the refined box; the rest is the detector's
INSIDE = 0.8  # of a box within a better one: no ear is inside another
BORDER = 0.025  # of the points' extent, a side: how far an ear reaches beyond its points


def extent_box(points_px: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray | None:
    """The extent (4,) px of the points (K, 2) px predicted in `box_xyxy` (4,): where they are predicted
    again.

    Landmarkers are trained on boxes that are the extent of the points. A box that is tighter, looser or
    beside the ear costs accuracy, and most of it comes back when the points are predicted again in the box of
    their own extent. None where the extent overlaps the given box by less than SAME_EAR_IOU.
    """
    box = points_extent(points_px)
    return box if paired_iou(box[None], np.asarray(box_xyxy)[None])[0] >= SAME_EAR_IOU else None


def points_extent(points_px: np.ndarray) -> np.ndarray:
    """(4,) float32 px, edges, round points (K, 2) px, pixel centres."""
    return np.concatenate([points_px.min(axis=0), points_px.max(axis=0)]).astype(np.float32) + np.float32(0.5)


def proposal_threshold(ear_threshold: float) -> float:
    """The detector's score below which no `ear_score` reaches ear_threshold, however sure the landmarker."""
    return ear_threshold**2


def frame_proposal(frame_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The frame (H, W, ...) itself as a proposal: box (1, 4) px and score (1,).

    For frames in which the detector proposed boxes, but the points' confidence makes an ear of none: in a
    photograph cut close to an ear the detector often finds only a part of it. The frame counts where the
    extent of its points overlaps it (`rescore_and_suppress`, must_overlap). Such an ear is read as it lies:
    photographs that would have to be turned first are rarely one ear.
    """
    height, width = frame_shape[:2]
    return np.array([[0, 0, width, height]], dtype=np.float32), np.array([FRAME_SCORE], dtype=np.float32)


def ear_score(box_scores: np.ndarray, sureness: np.ndarray) -> np.ndarray:
    """(n,) scores of the detector and (n,) sureness of the landmarker, both 0..1 -> (n,) scores of ears.

    sureness: `students.inference.reading.PredictedPoints.sureness`. It is multiplied with the root of the
    detector's score. Rescoring as in Xiao et al., Simple Baselines for Human Pose Estimation, ECCV 2018 (box
    score times the points' mean confidence), with that squared; the root of the product keeps the scale.
    """
    return np.sqrt(box_scores) * sureness


def refined_box(box_xyxy: np.ndarray, points_px: np.ndarray, frame_shape: tuple[int, ...]) -> np.ndarray:
    """The detector's box (4,) px drawn towards the extent of the points (K, 2) px predicted in it.

    The box as it is where `extent_box` is None. Within the frame, frame_shape: (H, W, ...).
    """
    extent = extent_box(points_px, box_xyxy)
    if extent is None:
        return box_xyxy
    box = EXTENT_SHARE * bordered(extent) + (1 - EXTENT_SHARE) * np.asarray(box_xyxy)
    return within_frame(box, frame_shape)


def bordered(extent_xyxy: np.ndarray) -> np.ndarray:
    """The extent (4,) px of an ear's points and BORDER on each side: as far as the ear reaches."""
    side = np.tile(extent_xyxy[2:] - extent_xyxy[:2], 2)
    return extent_xyxy + BORDER * side * np.array([-1, -1, 1, 1], dtype=np.float32)


def within_frame(box_xyxy: np.ndarray, frame_shape: tuple[int, ...]) -> np.ndarray:
    """A box (4,) px clipped to a frame (H, W, ...), float32."""
    height, width = frame_shape[:2]
    return box_xyxy.clip(0, np.array([width, height, width, height])).astype(np.float32)


def rescore_and_suppress(
    boxes_xyxy: np.ndarray,
    box_scores: np.ndarray,
    points_px: np.ndarray,
    sureness: np.ndarray,
    frame_shape: tuple[int, ...],
    nms_iou: float = NMS_IOU,
    must_overlap: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ears of one frame from n proposals and the points predicted in them; duplicates suppressed, best
    first.

    boxes_xyxy (n, 4) px and box_scores (n,) of the detector; points_px (n, K, 2) and sureness (n,) predicted
    in them. must_overlap: leave out proposals whose `extent_box` is None.
    Returns boxes (m, 4) px, scores (m,) as of `ear_score`, and which proposals they were (m,).
    """
    scores = ear_score(box_scores, sureness)
    order = np.argsort(-scores, kind="stable")
    if must_overlap:
        order = order[[extent_box(points_px[row], boxes_xyxy[row]) is not None for row in order]]
    boxes = np.array([refined_box(boxes_xyxy[row], points_px[row], frame_shape) for row in order])
    boxes = boxes.reshape(-1, 4)  # also where there are none
    kept = nms_numpy(boxes, nms_iou, INSIDE)
    return boxes[kept], scores[order][kept], order[kept]
