"""A photograph read many times, in several sizes, plain and mirrored; what the readings agree on counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from data import crops
from data.boxes import EVALUATION_SCORE, box_iou
from data.tensors import planes, to_unit
from teacher.models.dense.detector import DenseDetector
from teacher.models.dense.postprocess import detections

SIDES_PX = (320, 512)  # of the letterboxes in which a frame is read
AGREE_IOU = 0.5  # of boxes of two readings that are taken for the same ear
COUNTED_SHARE = 0.5  # of the readings, the best ones, whose mean is the score: not every size suits every ear


@torch.no_grad()
def read_frame(
    teacher: DenseDetector, rgb: np.ndarray, sides_px: Sequence[int] = SIDES_PX
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 -> boxes (n, 4) float32 px and scores (n,) float32, best first.

    teacher: in eval mode. Each size is read plain and mirrored.
    """
    readings = []
    for side_px in sides_px:
        matrix = crops.letterbox_matrix(*rgb.shape[:2], side_px)
        plain = planes(crops.crop(rgb, matrix, side_px))
        both = torch.stack((plain, plain.flip(-1)))
        found = detections(*teacher(to_unit(both)), score_threshold=EVALUATION_SCORE)
        ways = matrix, crops.compose(crops.flip_matrix(side_px), matrix)
        for (boxes, scores), way in zip(found, ways, strict=True):
            in_frame = crops.apply_to_boxes(crops.invert(way), boxes.numpy())
            readings.append((in_frame.clip(0, np.tile(rgb.shape[1::-1], 2)), scores.numpy()))
    return fused(readings)


def fused(readings: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) px and scores (n,) of each of several readings -> those that they agree on, best first.

    Weighted boxes fusion (Solovyev et al., Image and Vision Computing 2021): boxes that overlap are one, the
    mean of all weighted by their scores. Deviation: its score is the mean over the best half of the
    readings, where one that does not see it counts 0; a reading whose size does not suit the ear then costs
    nothing, one that alone sees something brings little.
    """
    boxes = np.concatenate([boxes for boxes, _ in readings], dtype=np.float64).reshape(-1, 4)
    scores = np.concatenate([scores for _, scores in readings], dtype=np.float64)
    reading = np.repeat(np.arange(len(readings)), [len(scores) for _, scores in readings])
    ears: list[list[int]] = []
    means = np.empty((0, 4))
    for row in np.argsort(-scores, kind="stable"):
        overlap = box_iou(means, boxes[row]).ravel()
        best = int(overlap.argmax()) if len(overlap) else -1
        if best < 0 or overlap[best] < AGREE_IOU:
            ears.append([row])
            means = np.concatenate([means, boxes[row : row + 1]])
        elif reading[row] not in reading[ears[best]]:
            ears[best].append(row)
            means[best] = np.average(boxes[ears[best]], axis=0, weights=scores[ears[best]])
    counted = max(1, round(COUNTED_SHARE * len(readings)))
    agreed = np.array([np.sort(scores[ear])[::-1][:counted].sum() / counted for ear in ears])
    order = np.argsort(-agreed, kind="stable")
    return means[order].astype(np.float32), agreed[order].astype(np.float32)
