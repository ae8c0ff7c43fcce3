"""A student's map laid over the cells of its teacher's: of ears in frames, of crops that were moved."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align

ROI_SAMPLES = 2  # bilinear samples a bin and direction of RoI-align (He et al., Mask R-CNN, ICCV 2017)


def align_ears(features: Tensor, rois: Tensor, stride: int, grid: int) -> Tensor:
    """The student's map over each ear's window, on the teacher's grid: (R, C, grid, grid).

    features: (B, C, h, w); rois: (R, 5) frame index, then x1, y1, x2, y2 in px of the frame, edges (a pixel i
    covers [i, i + 1], as torchvision's `aligned=True` takes them).
    """
    return roi_align(features, rois, grid, 1.0 / stride, ROI_SAMPLES, aligned=True)


def carried_back(features: Tensor, matrices: Tensor, image_px: int, grid: int) -> tuple[Tensor, Tensor]:
    """The student's map where the cells of its teacher's went when the crop was moved.

    features: (B, C, h, w) of views of image_px; matrices: (B, 2, 3), px of the teacher's view, of the same
    size, -> px of the student's. Returns (B, C, grid, grid), bilinear, and which cells the student saw
    (B, 1, grid, grid), 1 or 0: those whose centre lies in its view.
    """
    cells = (torch.arange(grid, device=features.device) + 0.5) * (image_px / grid) - 0.5
    y, x = torch.meshgrid(cells, cells, indexing="ij")
    teacher_px = torch.stack((x, y, torch.ones_like(x)), dim=-1).flatten(0, 1)
    student_px = (teacher_px @ matrices.transpose(1, 2)).unflatten(1, (grid, grid))
    places = (student_px + 0.5) * (2 / image_px) - 1  # as grid_sample takes them: edges at -1 and 1
    seen = (places.abs() <= 1).all(dim=-1).unsqueeze(1)
    sampled = F.grid_sample(features, places.to(features.dtype), padding_mode="border", align_corners=False)
    return sampled, seen.to(features.dtype)
