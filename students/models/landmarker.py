"""StudentLandmarker: 17 points of an ear from its crop, read from heatmaps by soft-argmax."""

from torch import Tensor, nn

from students.models.trunk import Trunk
from teacher.models.dense.pyramid import Pyramid
from teacher.models.heatmaps import soft_argmax

FEATURE_STRIDE = 8
HEATMAP_STRIDE = 4


class StudentLandmarker(nn.Module):
    """Crops in [0, 1] -> points and confidences.

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
    ):
        super().__init__()
        self.hparams = {"num_landmarks": num_landmarks, "image_px": image_px, "trunk": trunk, "width": width}
        self.num_landmarks, self.image_px = num_landmarks, image_px
        self.channels, self.stride = width, FEATURE_STRIDE
        self.pyramid = Pyramid(Trunk(trunk, (HEATMAP_STRIDE, FEATURE_STRIDE, 16, 32)), width)
        self.heatmap = nn.Conv2d(width, num_landmarks, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB in [0, 1] -> points_unit (B, K, 2) and confidence (B, K) in 0..1.

        points_unit: x, y in crop coordinates, u = (x_px + 0.5) / W. confidence: the largest part of a heatmap
        that lies in a window of 5x5 cells (`teacher.models.heatmaps.soft_argmax`).
        """
        return soft_argmax(self.forward_train(images))

    def forward_train(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> heatmap logits (B, K, H / 4, W / 4), for the losses."""
        return self.forward_with_features(images)[0]

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the distilled map (B, channels, H / 8, W / 8)."""
        return self.pyramid(images)[1]

    def forward_with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """One pass for training: (B, 3, H, W) in [0, 1] -> results of `forward_train` and `features`."""
        map4, features = self.pyramid(images)[:2]
        return self.heatmap(map4), features
