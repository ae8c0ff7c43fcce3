"""One fine map out of a pyramid: global, deep and shallow maps summed while the grid is doubled.

In the first trials an early, local map did not tell one fold from another, and a deep 4x4 one did not locate
it. A point needs both, hence the sum of all of them (Lin et al., Feature
Pyramid Networks, CVPR 2017), and a thin stem on the pixels for the last quarter of a cell.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PyramidFusion(nn.Module):
    """Named maps (B, C_i, h_i, w_i) and the images they come from -> one map (B, width, cells, cells).

    channels: name -> C_i of every map that will be given. `grid_cells` is the side of the grid on which the
    coarse maps meet; from there the map is doubled until it has `cells` cells a side, and maps finer than
    the grid join at the first step that is at least as fine. stem_channels: width of the stem on the
    pixels, 0 for none.
    """

    def __init__(
        self, channels: Mapping[str, int], grid_cells: int, cells: int, width: int, stem_channels: int
    ) -> None:
        super().__init__()
        self.grids = [grid_cells]
        while self.grids[-1] < cells:
            self.grids.append(min(2 * self.grids[-1], cells))
        self.lateral = nn.ModuleDict({name: _lateral(count, width) for name, count in channels.items()})
        self.steps = nn.ModuleList(ResidualStep(width) for _ in self.grids)
        self.stem = Stem(stem_channels, width) if stem_channels else None

    def forward(self, maps: Mapping[str, Tensor], images: Tensor) -> Tensor:
        """maps: as declared; images: (B, 3, H, W) in [-1, 1]. Returns (B, width, cells, cells)."""
        waiting = {name: lateral(maps[name]) for name, lateral in self.lateral.items()}
        if self.stem is not None:
            waiting["stem"] = self.stem(images)
        fused: Tensor | None = None
        for grid, step in zip(self.grids, self.steps, strict=True):
            last = grid == self.grids[-1]
            joining = [name for name, values in waiting.items() if last or values.shape[-1] <= grid]
            parts = [resize(waiting.pop(name), grid) for name in joining]
            if fused is not None:
                parts.append(resize(fused, grid))
            fused = step(torch.stack(parts).sum(dim=0))
        return fused


class ResidualStep(nn.Module):
    """Group norm, SiLU and 3x3 convolution, twice, around an identity (He et al., ECCV 2016).

    Group norm, because few labels mean small batches and negatives of another distribution in each of them.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _group_norm(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            _group_norm(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, width, h, w). Returns the same shape."""
        return features + self.body(features)


class Stem(nn.Module):
    """Two strided convolutions on the pixels: (B, 3, H, W) in [-1, 1] -> (B, width, H/4, W/4)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
            _group_norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
            _group_norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, width, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """images: (B, 3, H, W). Returns (B, width, H/4, W/4)."""
        return self.body(images)


def resize(features: Tensor, cells: int) -> Tensor:
    """Bilinear to (B, C, cells, cells); shrinking is smoothed, so that no cell of a finer map is skipped."""
    if features.shape[-1] == cells:
        return features
    antialias = features.shape[-1] > cells
    return F.interpolate(features, size=(cells, cells), mode="bilinear", antialias=antialias)


def _lateral(channels: int, width: int) -> nn.Sequential:
    # Raw channels of a ViT differ in spread by three orders of magnitude: each is normalised on its own
    # first.
    return nn.Sequential(nn.BatchNorm2d(channels), nn.Conv2d(channels, width, 1))


def _group_norm(channels: int) -> nn.GroupNorm:
    groups = next(groups for groups in (8, 4, 2, 1) if channels % groups == 0)
    return nn.GroupNorm(groups, channels)
