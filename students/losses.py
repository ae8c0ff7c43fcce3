"""What trains the students without a teacher: heatmaps and points; scores and boxes. Pure functions."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou, generalized_box_iou_loss

from students.detector import cell_centres_px
from teacher.heatmaps import heatmap_loss

SCORE_POWER, IOU_POWER = 1.0, 6.0  # alpha and beta of TOOD, table 6
CELLS_PER_EAR = 10  # k nearest in alignment; TOOD uses 13 over five pyramid levels, YOLOv8 10
FOCAL_POWER = 2.0  # beta of GFL, eq. 2
BOX_WEIGHT = 2.0  # GFL's weight of GIoU beside the score


def landmark_loss(
    logits: Tensor, points_px: Tensor, visibility: Tensor, image_px: int, weight: Tensor | None = None
) -> Tensor:
    """Loss of the landmarker's heatmaps, a scalar.

    logits: (B, K, h, w); points_px: (B, K, 2) crop pixels, NaN where not annotated; visibility: (B, K),
    COCO 0/1/2; weight: (B, K), for pseudo-labels. Distance of the soft-argmax plus divergence from a
    Gaussian, see `teacher.heatmaps.heatmap_loss`. Unlike the teacher's head, hidden points count in full:
    their labels are positions an annotator gave, and the error measures count them.
    """
    points_unit = (points_px + 0.5) / image_px
    return heatmap_loss(logits, points_unit, visibility, hidden_weight=1.0, weight=weight)


def detection_loss(
    logits: Tensor, boxes_xyxy: Tensor, targets_xyxy: list[Tensor], map_shape: tuple[int, int], stride: int
) -> dict[str, Tensor]:
    """Loss of the detector: {"loss", "score", "box"}, scalars with `loss` their sum.

    logits: (B, M); boxes_xyxy: (B, M, 4) px; targets_xyxy: B tensors (n, 4) px, n = 0 for a frame without
    ears. Quality focal loss on the scores (Li et al., Generalized Focal Loss, NeurIPS 2020, eq. 2), GIoU on
    the boxes of positive cells (Rezatofighi et al., CVPR 2019), both divided by the sum of the positives'
    target scores over the batch, at least 1, as in TOOD (Feng et al., ICCV 2021, arXiv:2108.07755, eq. 7
    and 8).
    """
    logits, boxes_xyxy = logits.float(), boxes_xyxy.float()
    target_scores = torch.zeros_like(logits)
    box_loss = logits.new_zeros(())
    for image, targets in enumerate(targets_xyxy):
        if len(targets) == 0:
            continue
        cells, ears, scores = assign(
            logits[image].detach(), boxes_xyxy[image].detach(), targets, map_shape, stride
        )
        target_scores[image, cells] = scores
        giou = generalized_box_iou_loss(boxes_xyxy[image, cells], targets[ears])
        box_loss = box_loss + (giou * scores).sum()
    normaliser = target_scores.sum().clamp_min(1.0)
    score_loss = quality_focal_loss(logits, target_scores).sum() / normaliser
    box_loss = BOX_WEIGHT * box_loss / normaliser
    return {"loss": score_loss + box_loss, "score": score_loss, "box": box_loss}


def quality_focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """|sigmoid - target|^2 times the cross-entropy to a soft target in 0..1; element-wise. GFL, eq. 2."""
    gap = (torch.sigmoid(logits) - targets).abs()
    return gap.pow(FOCAL_POWER) * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def assign(
    logits: Tensor, boxes_xyxy: Tensor, targets_xyxy: Tensor, map_shape: tuple[int, int], stride: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Which cells of one image answer for which ear: TOOD's task-aligned assignment for one class.

    logits: (M,); boxes_xyxy: (M, 4) px; targets_xyxy: (n, 4) px, n > 0.
    Returns cells (P,) and ears (P,), indices into M and n, and scores (P,), the cells' target scores. Of the
    cells whose centre lies in an ear's box, the 10 with the highest score * IoU^6 are its own; a cell chosen
    twice goes to the ear it overlaps more. Deviation: the cell nearest to the ear's centre is always a
    candidate, since a box narrower than a cell may hold no centre.
    """
    iou = box_iou(targets_xyxy, boxes_xyxy)  # (n, M)
    candidates = _candidate_cells(targets_xyxy, map_shape, stride)
    alignment = torch.sigmoid(logits).pow(SCORE_POWER) * iou.pow(IOU_POWER)
    # The tiny term keeps the order where IoU^6 underflows; candidates beat all other cells.
    ranking = torch.where(candidates, alignment + 1e-20 * (1 + iou), -1.0)
    best = ranking.topk(min(CELLS_PER_EAR, ranking.shape[1]), dim=1)
    chosen = torch.zeros_like(candidates).scatter_(1, best.indices, best.values > 0)
    contested = chosen & (chosen.sum(dim=0, keepdim=True) > 1)
    owner = torch.where(contested, iou, -1.0).argmax(dim=0)
    is_owner = F.one_hot(owner, len(targets_xyxy)).T.bool()
    chosen = chosen & (is_owner | ~contested)
    ears, cells = chosen.nonzero(as_tuple=True)
    aligned = torch.where(chosen, alignment, 0.0)
    scale = torch.where(chosen, iou, 0.0).amax(dim=1) / aligned.amax(dim=1).clamp_min(1e-30)
    scores = (aligned * scale.unsqueeze(1))[ears, cells]
    return cells, ears, scores.clamp(0.0, 1.0)


def _candidate_cells(targets_xyxy: Tensor, map_shape: tuple[int, int], stride: int) -> Tensor:
    """(n, M) bool: the cell's centre lies in the box, or it is the one nearest to the box's centre."""
    x, y = cell_centres_px(map_shape, stride, targets_xyxy.device).unbind(dim=-1)
    left, top, right, bottom = targets_xyxy.unsqueeze(-1).unbind(dim=1)
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    distance = (x - (left + right) / 2).square() + (y - (top + bottom) / 2).square()
    return inside.scatter(1, distance.argmin(dim=1, keepdim=True), True)
