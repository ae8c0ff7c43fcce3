"""From the detector's raw cells to a few boxes: threshold and non-maximum suppression, in numpy.

`teacher.models.dense.postprocess` does the same for batches in torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.boxes import BOX_THRESHOLD, MAX_CANDIDATES, NMS_IOU, nms_numpy


def detections_numpy(
    scores: np.ndarray,
    boxes_xyxy: np.ndarray,
    score_threshold: float = BOX_THRESHOLD,
    nms_iou: float = NMS_IOU,
) -> tuple[np.ndarray, np.ndarray]:
    """The detector's cells of one image -> the boxes (n, 4) px and scores (n,) that are left, best first.

    scores: (M,), 0..1; boxes_xyxy: (M, 4) px of the detector's input.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    order = order[scores[order] >= score_threshold]
    kept = order[nms_numpy(boxes_xyxy[order], nms_iou)]
    return boxes_xyxy[kept], scores[kept]


def merged(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], nms_iou: float = NMS_IOU
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes (n, 4), frame px, and scores (n,) found in several letterboxes of one frame, as one pair.

    Empty boxes are left out, duplicates suppressed; best first, float32.
    """
    boxes = np.concatenate([boxes for boxes, _ in parts], dtype=np.float32)
    scores = np.concatenate([scores for _, scores in parts], dtype=np.float32)
    whole = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    boxes, scores = boxes[whole], scores[whole]
    order = np.argsort(-scores, kind="stable")
    kept = order[nms_numpy(boxes[order], nms_iou)]
    return boxes[kept], scores[kept]
