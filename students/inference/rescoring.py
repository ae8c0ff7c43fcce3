"""What the points read in a box say of it: where to look again, whether an ear is there, where its box ends.

The pipeline and the evaluation both go through here, so that what is measured is what is used; numpy only.
The numbers below were chosen on rendered scenes (docs/experiments.md, "The points' word on
the boxes, and a frame in two sizes", "Photographs cut close to the ear").
"""

import numpy as np

from data.boxes import paired_iou
from students.inference.boxes import NMS_IOU, nms_numpy

EAR_THRESHOLD = 0.5  # of `ear_score`, for use
FRAME_SCORE = 0.51  # of the frame itself as a proposal: with it an ear's points have to be sure by 0.7
SAME_EAR_IOU = 0.3  # of a box and of the points read in it: below, they are hardly of one thing
POINTS_SHARE = 0.7  # of the refined box; the rest is the detector's
INSIDE = 0.8  # of a box within a better one: no ear is inside another
BORDER = 0.025  # of the points' extent, a side: how far an ear reaches beyond its points


def second_box(points_px: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray | None:
    """The box in which an ear is read once more: the extent of the points (K, 2) px read in `box_xyxy` (4,).

    Landmarkers learn on boxes that are the extent of the points. A box that is tighter, looser or beside the
    ear costs accuracy, and most of it comes back when the ear is read again in the box of its own points.
    None where those do not fit the given box well enough to be of the same ear.
    """
    box = np.concatenate([points_px.min(axis=0), points_px.max(axis=0)]).astype(np.float32) + np.float32(0.5)
    return box if paired_iou(box[None], np.asarray(box_xyxy)[None])[0] >= SAME_EAR_IOU else None


def proposal_threshold(ear_threshold: float) -> float:
    """The detector's score below which no `ear_score` reaches ear_threshold, however sure the points are."""
    return ear_threshold**2


def whole_frame(frame_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The frame (H, W, ...) itself as a proposal, box (1, 4) px and score (1,): where there were others, and
    their points say of none that it is an ear. It is one where the points fit it (`rescore_and_suppress`,
    fitting).

    In a photograph cut close to an ear the detector suspects one, and often finds a part of it alone.
    """
    height, width = frame_shape[:2]
    return np.array([[0, 0, width, height]], dtype=np.float32), np.array([FRAME_SCORE], dtype=np.float32)


def ear_score(box_scores: np.ndarray, point_confidence: np.ndarray) -> np.ndarray:
    """(n,) scores of the detector and (n, K) confidences of the points, both 0..1 -> (n,) scores of ears.

    The mean confidence times the root of the detector's score. Where there is no ear, no heatmap has one
    place to point at. Rescoring as in Xiao et al., Simple Baselines for Human Pose Estimation, ECCV 2018
    (box score times mean confidence), with the confidence squared; the root of that keeps the scale.
    """
    return np.sqrt(box_scores) * point_confidence.mean(axis=-1)


def refined_box(box_xyxy: np.ndarray, points_px: np.ndarray, frame_shape: tuple[int, ...]) -> np.ndarray:
    """The detector's box (4,) px drawn towards the extent of the points (K, 2) px that were read in it.

    The box as it is where the points do not fit it. Within the frame, frame_shape: (H, W, ...).
    """
    extent = second_box(points_px, box_xyxy)
    if extent is None:
        return box_xyxy
    side = np.tile(extent[2:] - extent[:2], 2)
    extent = extent + BORDER * side * np.array([-1, -1, 1, 1], dtype=np.float32)
    box = POINTS_SHARE * extent + (1 - POINTS_SHARE) * np.asarray(box_xyxy)
    height, width = frame_shape[:2]
    return box.clip(0, np.array([width, height, width, height])).astype(np.float32)


def rescore_and_suppress(
    boxes_xyxy: np.ndarray,
    box_scores: np.ndarray,
    points_px: np.ndarray,
    point_confidence: np.ndarray,
    frame_shape: tuple[int, ...],
    nms_iou: float = NMS_IOU,
    fitting: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ears of one frame from what was read in n proposals, doubles left out, best first.

    boxes_xyxy (n, 4) px and box_scores (n,) of the detector; points_px (n, K, 2) and point_confidence (n, K)
    read in them. fitting: only those count whose points fit them (`second_box`).
    Returns boxes (m, 4) px, scores (m,) as of `ear_score`, and which proposals they were (m,).
    """
    scores = ear_score(box_scores, point_confidence)
    order = np.argsort(-scores, kind="stable")
    if fitting:
        order = order[[second_box(points_px[row], boxes_xyxy[row]) is not None for row in order]]
    boxes = np.array([refined_box(boxes_xyxy[row], points_px[row], frame_shape) for row in order])
    boxes = boxes.reshape(-1, 4)  # also where there are none
    kept = nms_numpy(boxes, nms_iou, INSIDE)
    return boxes[kept], scores[order][kept], order[kept]
