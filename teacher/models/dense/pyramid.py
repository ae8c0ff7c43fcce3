"""A feature pyramid over the maps of a trunk: the students' and the frame teacher's."""

import torch.nn.functional as F
from torch import Tensor, nn


class Pyramid(nn.Module):
    """Images in [0, 1] -> maps at the trunk's strides, each of which knows all deeper ones.

    From deep to shallow: the deeper map is doubled, the trunk's is brought to the same width by a 1x1, both
    are summed and smoothed by a 3x3 (Lin et al., Feature Pyramid Networks, CVPR 2017; deviation: the smoothed
    map, not the sum, goes on to the next stride).

    trunk: images -> maps, shallow first, each at twice the stride of the one before; `channels` lists theirs.
    """

    def __init__(self, trunk: nn.Module, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.laterals = nn.ModuleList(ConvNormAct(channels, width) for channels in trunk.channels)
        self.smoothers = nn.ModuleList(ConvNormAct(width, width, kernel=3) for _ in trunk.channels[:-1])

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> one (B, width, H / stride, W / stride) for each stride, shallow first."""
        lateral = [to_width(x) for to_width, x in zip(self.laterals, self.trunk(images), strict=True)]
        maps = lateral[-1:]
        for x, smooth in zip(lateral[-2::-1], list(self.smoothers)[::-1], strict=True):
            maps.append(smooth(x + F.interpolate(maps[-1], scale_factor=2.0, mode="nearest")))
        return maps[::-1]


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, ReLU; "same" padding."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 1):
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )
