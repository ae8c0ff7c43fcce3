"""An anchor-free detector of one class on one map at stride 8: the heads, and boxes from what they say."""

import math

import torch
from torch import Tensor, nn

from teacher.models.dense.pyramid import ConvNormAct

FEATURE_STRIDE = 8
PRIOR_SCORE = 0.01  # of every cell at the start: Lin et al., Focal Loss, ICCV 2017, sec. 3.3
PRIOR_SIDE_PX = 48.0  # a middling ear in a 320 px frame
LOG_DISTANCES = (-5.0, 5.0)  # in strides: 0.05 px, so that no box is empty; 1187 px, beyond any frame seen


class DenseDetector(nn.Module):
    """Frames in [0, 1] -> a score and a box for each cell of the stride-8 map of a pyramid.

    Boxes are distances from the cell's centre to the four sides, as in FCOS (Tian et al., ICCV 2019).
    Deviations: one map instead of a pyramid of heads (with strides 8, 16 and 32 summed into it, it sees both
    the 13 px ear and the 200 px one, and one class on 40x40 cells needs no more), and no centre-ness.

    pyramid: (B, 3, H, W) -> maps, that at stride 8 first; width: their channels; image_px: side of the
    letterbox in which frames are seen. `features` is that map, which is distilled (RoI-align it over the
    ear's window); `channels` and `stride` describe it.
    """

    def __init__(self, pyramid: nn.Module, width: int, image_px: int) -> None:
        super().__init__()
        self.image_px, self.channels, self.stride = image_px, width, FEATURE_STRIDE
        self.pyramid = pyramid
        self.score_tower = ConvNormAct(width, width, kernel=3)
        self.box_tower = ConvNormAct(width, width, kernel=3)
        self.score = nn.Conv2d(width, 1, 1)
        self.box = nn.Conv2d(width, 4, 1)
        self._start_from_priors()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB in [0, 1], sides multiples of 32 -> logits (B, M) and boxes_xyxy (B, M, 4) px.

        M = H / 8 * W / 8 cells, row by row. sigmoid(logits) is the score. No NMS: see
        `teacher.models.dense.postprocess.detections`.
        """
        return self.forward_with_features(images)[0]

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the distilled map (B, channels, H / 8, W / 8)."""
        return self.pyramid(images)[0]

    def forward_with_features(self, images: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """One pass for training: (logits, boxes_xyxy) as from `forward`, and the map of `features`."""
        features = self.features(images)
        logits = self.score(self.score_tower(features)).flatten(1)
        log_distances = self.box(self.box_tower(features)).flatten(2).transpose(1, 2)  # (B, M, 4)
        return (logits, boxes_from_distances(log_distances, features.shape[-2:], self.stride)), features

    def _start_from_priors(self) -> None:
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.constant_(self.score.bias, -math.log((1 - PRIOR_SCORE) / PRIOR_SCORE))
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.constant_(self.box.bias, math.log(PRIOR_SIDE_PX / 2 / self.stride))


def boxes_from_distances(log_distances: Tensor, map_shape: tuple[int, int], stride: int) -> Tensor:
    """(B, M, 4) log of left, top, right, bottom distances in strides -> (B, M, 4) boxes_xyxy, px, float32 or
    finer: in bfloat16 the sides of a box at 300 px would be even numbers, and a narrow one empty.
    """
    wide = torch.promote_types(log_distances.dtype, torch.float32)
    distances_px = log_distances.to(wide).clamp(*LOG_DISTANCES).exp() * stride
    centres = cell_centres_px(map_shape, stride, log_distances.device).to(wide)
    return torch.cat((centres - distances_px[..., :2], centres + distances_px[..., 2:]), dim=-1)


def cell_centres_px(map_shape: tuple[int, int], stride: int, device: torch.device | None = None) -> Tensor:
    """(h * w, 2) x, y of the cells' centres, row by row, on the scale of boxes: pixel i covers [i, i + 1]."""
    height, width = map_shape
    y, x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return (torch.stack((x, y), dim=-1).reshape(-1, 2) + 0.5) * stride
