"""From the detector's logits to a few boxes: threshold and non-maximum suppression, in torch for batches."""

import torch
from torch import Tensor
from torchvision.ops import nms

from data.boxes import BOX_THRESHOLD, MAX_CANDIDATES, NMS_IOU


def detections(
    logits: Tensor,
    boxes_xyxy: Tensor,
    score_threshold: float = BOX_THRESHOLD,
    nms_iou: float = NMS_IOU,
) -> list[tuple[Tensor, Tensor]]:
    """What the detector's forward returns for B images -> B pairs of boxes (n, 4) px and scores (n,), best
    first.

    logits: (B, M); boxes_xyxy: (B, M, 4) px of the detector's input.
    """
    found = []
    for image_scores, image_boxes in zip(torch.sigmoid(logits.float()), boxes_xyxy.float(), strict=True):
        scores, cells = image_scores.topk(min(MAX_CANDIDATES, len(image_scores)))
        cells = cells[scores >= score_threshold]
        boxes, scores = image_boxes[cells], image_scores[cells]
        kept = nms(boxes, scores, nms_iou)
        found.append((boxes[kept], scores[kept]))
    return found
