"""The trunk and feature pyramid that both students share."""

import torch.nn.functional as F
from torch import Tensor, nn

from students.models.trunk import ConvNormAct, Trunk


class Pyramid(nn.Module):
    """Images in [0, 1] -> maps at the trunk's strides, each of which knows all deeper ones.

    From deep to shallow: the deeper map is doubled, the trunk's is brought to the same width by a 1x1, both
    are summed and smoothed by a 3x3 (Lin et al., Feature Pyramid Networks, CVPR 2017; deviation: the smoothed
    map, not the sum, goes on to the next stride). `strides` are shallow first, each twice the one before.
    """

    def __init__(self, trunk: str, width: int, strides: tuple[int, ...]):
        super().__init__()
        self.trunk = Trunk(trunk, strides)
        self.laterals = nn.ModuleList(ConvNormAct(channels, width) for channels in self.trunk.channels)
        self.smoothers = nn.ModuleList(ConvNormAct(width, width, kernel=3) for _ in strides[:-1])

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> one (B, width, H / stride, W / stride) for each stride, shallow first."""
        lateral = [to_width(x) for to_width, x in zip(self.laterals, self.trunk(images), strict=True)]
        maps = lateral[-1:]
        for x, smooth in zip(lateral[-2::-1], list(self.smoothers)[::-1], strict=True):
            maps.append(smooth(x + F.interpolate(maps[-1], scale_factor=2.0, mode="nearest")))
        return maps[::-1]
