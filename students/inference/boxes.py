"""From the detector's raw cells to a few boxes: threshold and non-maximum suppression, in numpy.

`students.models.postprocess` does the same for batches in torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.boxes import area, box_iou, intersection

BOX_THRESHOLD = 0.5  # for use without points; evaluation keeps all above EVALUATION_SCORE: AP needs the tail
EVALUATION_SCORE = 0.01
NMS_IOU = 0.5
MAX_CANDIDATES = 300  # the best cells that enter NMS: one ear claims some 10 of them


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


def nms_numpy(boxes_xyxy: np.ndarray, nms_iou: float, inside: float = 1.0) -> np.ndarray:
    """Greedy non-maximum suppression: boxes (n, 4), best first -> indices kept, best first.

    Also suppressed is a box that shares more than `inside` of the smaller area with a better one.
    """
    overlap = box_iou(boxes_xyxy, boxes_xyxy)
    shared = intersection(boxes_xyxy[:, None], boxes_xyxy[None])
    smaller = np.minimum.outer(area(boxes_xyxy), area(boxes_xyxy))
    suppressed = np.zeros(len(boxes_xyxy), dtype=bool)
    kept = []
    for index in range(len(boxes_xyxy)):
        if not suppressed[index]:
            kept.append(index)
            suppressed |= (overlap[index] > nms_iou) | (shared[index] > inside * smaller[index])
    return np.array(kept, dtype=np.int64)
