"""A student's maps against its teacher's, by two matchers: of features, and of heatmaps.

Their own weights (adapter, generator) are thrown away after the training.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from distill.student.map_losses import MASKED, map_loss, mse_loss, normalise
from distill.teacher_maps.resize import resize_map
from teacher.models.heatmaps import kl_divergence

UNSEEN = -1e4  # logit of a cell that the student did not see
EPSILON = 1e-6


class MapMatcher(nn.Module):
    """The student's map against the teacher's: adapter, normalisation, losses.

    student_channels: of the student's map. mean, std: (C,), of the teacher's channels over its training
    crops; 0 and 1 leave the maps as they are. grid: side of the teacher's maps. loss_weights: name -> weight,
    the names of `distill.student.map_losses.MAP_LOSSES` and `masked`.
    """

    def __init__(
        self,
        student_channels: int,
        mean: Tensor,
        std: Tensor,
        grid: int,
        loss_weights: Mapping[str, float],
        masked_share: float = 0.5,
    ) -> None:
        super().__init__()
        self.adapter = Adapter(student_channels, len(mean), grid)
        self.masked_weight = loss_weights.get(MASKED, 0.0)
        self.generator = MaskedGenerator(len(mean), masked_share) if self.masked_weight else None
        self.loss_weights = {name: weight for name, weight in loss_weights.items() if name != MASKED}
        self.register_buffer("mean", mean.float(), persistent=False)
        self.register_buffer("std", std.float(), persistent=False)

    def forward(
        self, student: Tensor, teacher: Tensor, seen: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted loss, and each loss unweighted.

        student: (B, student_channels, h, w); teacher: (B, C, grid, grid) as kept, half precision; seen:
        (B, 1, grid, grid), 0 for cells that the student did not see. Those are 0 on both sides and have no
        gradient, though the value of a cosine counts them as 1.
        """
        adapted, wanted = self.adapter(student), normalise(teacher, self.mean, self.std)
        if seen is not None:
            adapted, wanted = adapted * seen, wanted * seen
        total, parts = map_loss(adapted, wanted, self.loss_weights)
        if self.generator is not None:
            parts[MASKED] = mse_loss(self.generator(adapted), wanted)
            total = total + self.masked_weight * parts[MASKED]
        return total, parts


class HeatmapMatcher(nn.Module):
    """The student's heatmaps against the teacher's: soft targets (Hinton et al., arXiv:1503.02531) with the
    cells of a heatmap as classes.
    """

    def forward(self, student: Tensor, teacher: Tensor, seen: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """KL(teacher || student) over the cells seen, mean over points by the part of their map that is.

        student: (B, K, grid, grid) logits; teacher: (B, K, grid, grid) as kept, 0 or more; seen: (B, 1, grid,
        grid), 1 or 0. Returns the loss in nats, and the same under its name.
        """
        teacher = teacher.float()
        mass = (teacher * seen).sum(dim=(2, 3))
        target = teacher * seen / mass.clamp_min(EPSILON)[..., None, None]
        divergence = kl_divergence(target, student.float().masked_fill(seen == 0, UNSEEN))
        share = mass / teacher.sum(dim=(2, 3)).clamp_min(EPSILON)
        loss = (divergence * share).sum() / share.sum().clamp_min(EPSILON)
        return loss, {"heatmaps": loss}


class Adapter(nn.Module):
    """A 1x1 convolution to the teacher's channels and a resize to its grid.

    Both are linear and commute, so the convolution runs wherever there are fewer cells.
    student_channels -> teacher_channels; grid: side of the teacher's map, cells.
    """

    def __init__(self, student_channels: int, teacher_channels: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.project = nn.Conv2d(student_channels, teacher_channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """maps: (B, student_channels, h, w). Returns (B, teacher_channels, grid, grid)."""
        if min(maps.shape[-2:]) > self.grid:
            return self.project(resize_map(maps, self.grid))
        return resize_map(self.project(maps), self.grid)


class MaskedGenerator(nn.Module):
    """Masked generation: hide some locations of a student's map, make the teacher's whole map from the rest.

    MGD (Yang et al., arXiv:2205.01529): a mask shared by all channels, then 3x3 convolution, ReLU, 3x3
    convolution. masked_share: of the locations, 0..1.
    """

    def __init__(self, channels: int, masked_share: float = 0.5) -> None:
        super().__init__()
        self.masked_share = masked_share
        self.generate = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """maps: (B, channels, h, w), adapted student maps. Returns what the teacher's may be, same shape."""
        seen = torch.rand_like(maps[:, :1]) >= self.masked_share
        return self.generate(maps * seen)
