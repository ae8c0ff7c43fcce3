"""StudentLandmarker: 17 points of an ear from its crop, read from heatmaps by soft-argmax."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from students.models.ear_scores import EarScores
from students.models.trunk import Trunk
from teacher.models.dense.pyramid import Pyramid
from teacher.models.heatmaps import soft_argmax

FEATURE_STRIDE = 8
HEATMAP_STRIDE = 4


class LandmarkerMaps(NamedTuple):
    """What the losses need of one pass over B crops."""

    heatmaps: Tensor  # (B, K, H / 4, W / 4) logits
    features: Tensor  # (B, channels, H / 8, W / 8), the distilled map
    ear_logit: Tensor | None  # (B,), and log_error (B, K): of `students.models.ear_scores.EarScores`;
    log_error: Tensor | None  # None in a landmarker without


class StudentLandmarker(nn.Module):
    """Crops in [0, 1] -> points and confidences; with `scores` also errors, and ear or not.

    A pyramid of strides 4 to 32, so that every cell of the 32x32 heatmaps (128 px crops) knows the whole ear;
    the points are the means of the heatmaps (Sun et al., Integral Human Pose Regression, ECCV 2018).

    `features` is the map that is distilled: the fused one at stride 8 (16x16 cells for 128 px) that
    everything after depends on; `channels` and `stride` describe it.
    """

    def __init__(
        self,
        num_landmarks: int = 17,
        image_px: int = 128,
        trunk: str = "resnet10_slim",
        width: int = 64,
        scores: bool = False,
    ):
        """scores: with `students.models.ear_scores.EarScores`; trained where there are hard negatives."""
        super().__init__()
        self.hparams = {"num_landmarks": num_landmarks, "image_px": image_px, "trunk": trunk, "width": width}
        self.num_landmarks, self.image_px = num_landmarks, image_px
        self.channels, self.stride = width, FEATURE_STRIDE
        self.pyramid = Pyramid(Trunk(trunk, (HEATMAP_STRIDE, FEATURE_STRIDE, 16, 32)), width)
        self.heatmap = nn.Conv2d(width, num_landmarks, 1)
        self.scores: EarScores | None = None
        if scores:
            self.add_scores()

    def add_scores(self) -> None:
        """Give a landmarker that has none untrained `EarScores`."""
        if self.scores is None:
            self.scores = EarScores(self.channels, self.num_landmarks)
            self.hparams["scores"] = True

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) RGB in [0, 1] -> points_unit (B, K, 2), confidence (B, K) in 0..1; with `scores` also
        error_unit (B, K) and ear (B,).

        points_unit: x, y in crop coordinates, u = (x_px + 0.5) / W. confidence: the largest part of a heatmap
        that lies in a window of 5x5 cells (`teacher.models.heatmaps.soft_argmax`). error_unit: the expected
        distance from the true point, a fraction of the crop's side. ear: the probability that it shows one.
        """
        maps = self.forward_train(images)
        points = soft_argmax(maps.heatmaps)
        if maps.ear_logit is None:
            return points
        return *points, torch.exp(maps.log_error), torch.sigmoid(maps.ear_logit)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the distilled map (B, channels, H / 8, W / 8)."""
        return self.pyramid(images)[1]

    def forward_train(self, images: Tensor) -> LandmarkerMaps:
        """(B, 3, H, W) in [0, 1] -> what the losses need."""
        maps = self.pyramid(images)
        heatmaps = self.heatmap(maps[0])
        return LandmarkerMaps(
            heatmaps, maps[1], *((None, None) if self.scores is None else self.scores(maps, heatmaps))
        )
