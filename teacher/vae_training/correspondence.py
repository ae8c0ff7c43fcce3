"""Self-supervision beside reconstruction: a place on an ear must be found again in another view of it.

A teacher that only reconstructs has no reason to tell one fold from another in its maps. Here every cell of
one view's map looks for itself in the map of a second view, turned, scaled, mirrored and in another light,
where the known warp says what it should find (equivariance: Thewlis et al., ICCV 2017, arXiv:1705.02193).
Seen through the map of a different ear on the way, the same search asks for features that mean the same place
on every ear (vector exchange: Thewlis et al., DVE, ICCV 2019, arXiv:1908.06427). Deviation from both: the
match is scored by the divergence of its heatmap from a Gaussian, as the landmarks' heatmaps are, not by its
distance.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from configs.errors import UserError, did_you_mean
from teacher.models.heatmaps import gaussian_targets, kl_divergence

TEMPERATURE = 0.1  # of cosines
SIGMA_CELLS = 0.7  # of the Gaussian around the true match
EMBEDDING_CHANNELS = 64
MATCHABLE_MAPS = ("backbone", "feat1", "feat2", "fused")
QUERIES = 256  # places a step that look for themselves: all of a 16x16 map, a quarter of a 32x32 one


class Correspondence(nn.Module):
    """The two terms on a map of the encoder, behind a small projector that only training needs.

    map_name: one of MATCHABLE_MAPS, else UserError; map_channels: of the teacher's maps, by name.
    """

    def __init__(self, map_name: str, map_channels: Mapping[str, int]) -> None:
        super().__init__()
        if map_name not in MATCHABLE_MAPS:
            hint = did_you_mean(map_name, MATCHABLE_MAPS)
            raise UserError(
                f"matching_map {map_name!r} is no map to match; allowed: {', '.join(MATCHABLE_MAPS)}.{hint}"
            )
        self.map_name = map_name
        self.projector = nn.Sequential(
            nn.Conv2d(map_channels[map_name], 2 * EMBEDDING_CHANNELS, 1),
            nn.SiLU(),
            nn.Conv2d(2 * EMBEDDING_CHANNELS, EMBEDDING_CHANNELS, 1),
        )

    def forward(self, features: dict[str, Tensor], to_second: Tensor, image_px: int) -> dict[str, Tensor]:
        """Terms `matching` and `exchange`, scalars.

        features: the teacher's maps of 2 B images, the first views before the second; to_second: (B, 2, 3)
        from px of the first view to px of the second; image_px: side of both.
        """
        # Cosines and their softmax lose their digits in 16 bit.
        with torch.autocast(to_second.device.type, enabled=False):
            first, second = self.projector(features[self.map_name].float()).chunk(2)
            points_unit = matched_points(to_second, first.shape[-1], image_px)
            chosen = torch.randperm(points_unit.shape[1], device=points_unit.device)[:QUERIES]
            queries, points_unit = first.flatten(2)[:, :, chosen], points_unit[:, chosen]
            return {
                "matching": matching_loss(queries, second, points_unit),
                "exchange": exchange_loss(queries, second, points_unit),
            }


def matched_points(to_second: Tensor, cells: int, image_px: int) -> Tensor:
    """Where the centre of each cell of the first view lies in the second: (B, cells * cells, 2).

    to_second: (B, 2, 3), px to px (pixel centres at integers). The result is in unit coordinates of the
    second view, rows of cells one after the other; below 0 or above 1 where the second view ends before.
    """
    centres_px = (torch.arange(cells, device=to_second.device) + 0.5) * image_px / cells - 0.5
    y_px, x_px = torch.meshgrid(centres_px, centres_px, indexing="ij")
    points_px = torch.stack((x_px, y_px, torch.ones_like(x_px)), dim=-1).flatten(0, 1)
    return (points_px @ to_second.float().transpose(1, 2) + 0.5) / image_px


def matching_loss(
    queries: Tensor, second: Tensor, points_unit: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """Mean divergence of each cell's match in the second view from a Gaussian where it truly is.

    queries: (B, C, n) cells of the first view's map; second: (B, C, h, h) map of the second view;
    points_unit: (B, n, 2), where those cells lie in it (`matched_points`). Those that it does not show count
    nowhere.
    """
    queries, keys = _unit_cells(queries), _unit_cells(second)
    return _heatmap_divergence(queries @ keys.transpose(1, 2) / temperature, points_unit, second.shape[-1])


def exchange_loss(
    queries: Tensor, second: Tensor, points_unit: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """As `matching_loss`, each cell described by what it resembles on the next ear of the batch (DVE, eq. 5).

    A batch of one has no other ear: 0.
    """
    if len(queries) < 2:
        return queries.new_zeros(())
    queries, keys = _unit_cells(queries), _unit_cells(second)
    others = keys.roll(1, dims=0)
    likeness = F.softmax(queries @ others.transpose(1, 2) / temperature, dim=-1)
    borrowed = F.normalize(likeness @ others, dim=-1)
    return _heatmap_divergence(borrowed @ keys.transpose(1, 2) / temperature, points_unit, second.shape[-1])


def _unit_cells(maps: Tensor) -> Tensor:
    """(B, C, n) or (B, C, h, w) -> (B, cells, C), each of length 1."""
    return F.normalize(maps.flatten(2).transpose(1, 2), dim=-1)


def _heatmap_divergence(logits: Tensor, points_unit: Tensor, cells: int) -> Tensor:
    """logits: (B, n, cells * cells), points_unit: (B, n, 2); mean over the points inside."""
    inside = ((points_unit >= 0) & (points_unit <= 1)).all(dim=-1)
    target = gaussian_targets(points_unit.clamp(0, 1), cells, cells, sigma_cells=SIGMA_CELLS)
    divergence = kl_divergence(target, logits.unflatten(-1, (cells, cells)))
    return (divergence * inside).sum() / inside.sum().clamp_min(1)
