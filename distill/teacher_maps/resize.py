"""Maps brought to another grid."""

from torch import Tensor
from torch.nn import functional as F


def resize_map(maps: Tensor, grid: int) -> Tensor:
    """(B, C, h, w) -> (B, C, grid, grid): area average when shrinking, bilinear when growing."""
    height, width = maps.shape[-2:]
    if (height, width) == (grid, grid):
        return maps
    if min(height, width) >= grid:
        return F.adaptive_avg_pool2d(maps, grid)
    return F.interpolate(maps, size=(grid, grid), mode="bilinear", align_corners=False)
