"""What trains a dense detector: scores and boxes of its cells. Pure functions."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from teacher.models.dense.detector import cell_centres_px

CENTRE_RADIUS_STRIDES = 1.0  # FCOS has 1.5 in a pyramid, where no ear is as small as three cells
FOCAL_POWER = 2.0  # gamma of Lin et al.
GIOU_WEIGHT = 2.0
SIZE_WEIGHT = 0.5
SMOOTH_BELOW = 0.1  # a tenth of the ear's side: from there on GIoU does the fine work


def detection_loss(
    logits: Tensor,
    boxes_xyxy: Tensor,
    targets_xyxy: list[Tensor],
    map_shape: tuple[int, int],
    stride: int,
    ignored_xyxy: list[Tensor] | None = None,
) -> dict[str, Tensor]:
    """Loss of the detector: {"loss", "score", "box"}, scalars with `loss` their sum.

    logits: (B, M); boxes_xyxy: (B, M, 4) px; targets_xyxy: B tensors (n, 4) px, n = 0 for a frame without
    ears. Scores: focal loss (Lin et al., ICCV 2017, without its alpha), divided by the number of positive
    cells, at least 1. Boxes: GIoU (Rezatofighi et al., CVPR 2019) and distance in size-free terms, the mean
    over ears of the mean over their cells. ignored_xyxy: B tensors (n, 4) of what may be an ear or not: the
    scores of cells with their centre in one, and no ear's own, count nothing.
    """
    logits = logits.float()
    target_scores, counts = torch.zeros_like(logits), torch.ones_like(logits)
    box_loss, positives = logits.new_zeros(()), 0
    for image, targets in enumerate(targets_xyxy):
        if ignored_xyxy is not None and len(ignored_xyxy[image]):
            counts[image] = (~cells_inside(ignored_xyxy[image], map_shape, stride).any(dim=0)).float()
        if len(targets) == 0:
            continue
        cells, ears = assign(targets, map_shape, stride)
        found, true = boxes_xyxy[image, cells], targets[ears].float()
        target_scores[image, cells] = counts[image, cells] = 1.0
        cells_of_ear = torch.bincount(ears, minlength=len(targets))[ears]
        box_loss = box_loss + (box_distance(found, true) / cells_of_ear).sum()
        positives += len(cells)
    score_loss = sigmoid_focal_loss(logits, target_scores, alpha=-1, gamma=FOCAL_POWER)
    score_loss = (score_loss * counts).sum() / max(positives, 1)
    box_loss = box_loss / max(sum(map(len, targets_xyxy)), 1)
    return {"loss": score_loss + box_loss, "score": score_loss, "box": box_loss}


def box_distance(found_xyxy: Tensor, true_xyxy: Tensor) -> Tensor:
    """(P, 4) twice, px -> (P,): GIoU loss plus smooth L1 of centre and size, in units of the true size.

    The second term is Faster R-CNN's (Ren et al., NeurIPS 2015, eq. 2). GIoU alone hardly pulls where a box
    contains a far smaller ear: its gradient there is the IoU, a few hundredths.
    """
    true_size = true_xyxy[:, 2:] - true_xyxy[:, :2]
    found_size = found_xyxy[:, 2:] - found_xyxy[:, :2]
    offset = (found_xyxy[:, :2] + found_xyxy[:, 2:] - true_xyxy[:, :2] - true_xyxy[:, 2:]) / 2 / true_size
    terms = torch.cat((offset, (found_size / true_size).log()), dim=1)
    smooth_l1 = F.smooth_l1_loss(terms, torch.zeros_like(terms), beta=SMOOTH_BELOW, reduction="none")
    return GIOU_WEIGHT * generalized_box_iou_loss(found_xyxy, true_xyxy) + SIZE_WEIGHT * smooth_l1.sum(dim=1)


def cells_inside(boxes_xyxy: Tensor, map_shape: tuple[int, int], stride: int) -> Tensor:
    """(n, 4) px -> (n, h * w) bool: cells whose centre lies in each box."""
    x, y = cell_centres_px(map_shape, stride, boxes_xyxy.device).unbind(dim=-1)
    left, top, right, bottom = boxes_xyxy.unsqueeze(-1).unbind(dim=1)
    return (x > left) & (x < right) & (y > top) & (y < bottom)


def assign(targets_xyxy: Tensor, map_shape: tuple[int, int], stride: int) -> tuple[Tensor, Tensor]:
    """Which cells of one frame answer for which ear.

    targets_xyxy: (n, 4) px, n > 0. Returns cells (P,) and ears (P,), indices into the h * w cells and into n.
    An ear's are the 2x2 cells round its centre, less those whose own centre lies outside the box: FCOS's
    centre sampling (Tian et al., TPAMI 2020, sec. 3.1). A cell that fits two goes to the nearer. Deviation:
    the cell nearest to an ear's centre is always its own, since a narrow box may hold no centre.
    """
    x, y = cell_centres_px(map_shape, stride, targets_xyxy.device).unbind(dim=-1)
    left, top, right, bottom = targets_xyxy.unsqueeze(-1).unbind(dim=1)
    across, down = (x - (left + right) / 2).abs(), (y - (top + bottom) / 2).abs()
    inside = cells_inside(targets_xyxy, map_shape, stride)
    candidates = inside & (torch.maximum(across, down) < CENTRE_RADIUS_STRIDES * stride)
    distance = across.square() + down.square()
    candidates = candidates.scatter(1, distance.argmin(dim=1, keepdim=True), True)
    nearest = torch.where(candidates, distance, torch.inf).argmin(dim=0)
    own = candidates & F.one_hot(nearest, len(targets_xyxy)).T.bool()
    ears, cells = own.nonzero(as_tuple=True)
    return cells, ears
