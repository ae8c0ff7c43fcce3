"""StudentLandmarker: 17 points of an ear from its crop, read from heatmaps by soft-argmax."""

import torch.nn.functional as F
from torch import Tensor, nn

from students.backbone import ConvNormAct, Separable, Trunk
from teacher.heatmaps import soft_argmax

FEATURE_STRIDE = 8
HEATMAP_STRIDE = 4


class StudentLandmarker(nn.Module):
    """Crops in [0, 1] -> points and confidences.

    A trunk's maps at strides 4, 8, 16 and a pooled one at 32 are summed from deep to shallow (Lin et al.,
    Feature Pyramid Networks, CVPR 2017), so that every cell of the 32x32 heatmaps (128 px crops) knows the
    whole ear; the points are the means of the heatmaps (Sun et al., Integral Human Pose Regression, ECCV
    2018).

    `features` is the map that is distilled: the fused one at stride 8 (16x16 cells for 128 px) that
    everything after depends on; `channels` and `stride` describe it.
    """

    def __init__(
        self,
        num_landmarks: int = 17,
        image_px: int = 128,
        trunk: str = "mobilenetv4_conv_small",
        width: int = 64,
    ):
        super().__init__()
        self.hparams = {"num_landmarks": num_landmarks, "image_px": image_px, "trunk": trunk, "width": width}
        self.num_landmarks, self.image_px = num_landmarks, image_px
        self.channels, self.stride = width, FEATURE_STRIDE
        self.trunk = Trunk(trunk, strides=(HEATMAP_STRIDE, FEATURE_STRIDE, 16))
        channels4, channels8, channels16 = self.trunk.channels
        self.lateral4 = ConvNormAct(channels4, width)
        self.lateral8 = ConvNormAct(channels8, width)
        self.lateral16 = ConvNormAct(channels16, width)
        self.context = nn.Sequential(Separable(channels16, width * 2, stride=2), Separable(width * 2, width))
        self.fuse16 = Separable(width, width)
        self.fuse8 = Separable(width, width)
        self.fuse4 = nn.Sequential(Separable(width, width), Separable(width, width))
        self.heatmap = nn.Conv2d(width, num_landmarks, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB in [0, 1] -> points_unit (B, K, 2) and confidence (B, K) in 0..1.

        points_unit: x, y in crop coordinates, u = (x_px + 0.5) / W. confidence: the largest part of a heatmap
        that lies in a window of 5x5 cells (`teacher.heatmaps.soft_argmax`).
        """
        return soft_argmax(self.forward_train(images))

    def forward_train(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> heatmap logits (B, K, H / 4, W / 4), for the losses."""
        return self.forward_with_features(images)[0]

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the distilled map (B, channels, H / 8, W / 8)."""
        return self._pyramid(images)[1]

    def forward_with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """One pass for training: (B, 3, H, W) in [0, 1] -> results of `forward_train` and `features`."""
        map4, features = self._pyramid(images)
        return self.heatmap(self.fuse4(self.lateral4(map4) + _double(features))), features

    def _pyramid(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The trunk's map at stride 4, (B, C, H / 4, W / 4), and the fused one at stride 8."""
        map4, map8, map16 = self.trunk(images)
        fused16 = self.fuse16(self.lateral16(map16) + _double(self.context(map16)))
        return map4, self.fuse8(self.lateral8(map8) + _double(fused16))


def _double(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, 2h, 2w), nearest."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
