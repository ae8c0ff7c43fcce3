"""What EarDetector is fine-tuned on: points, box edges, visibility, and ear or not."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from data.manifest import HIDDEN, VISIBLE
from teacher.models.detector import DetectorOutput
from teacher.models.heatmaps import gaussian_lines, heatmap_loss, spatial_softmax

# Some 4 % of annotated points are hidden. A linear reading of the rendered ears' features found 36 % of those
# with a factor of 1, 55 % with 4 (and 1.1 % of the visible ones), 75 % with 25 (and 10 %).
HIDDEN_FACTOR = 4.0


@dataclass(frozen=True)
class DetectorTargets:
    """Truth of a batch, in unit crop coordinates. A crop without an ear has NaN edges, visibility 0."""

    points_unit: Tensor  # (B, K, 2), NaN where not annotated
    visibility: Tensor  # (B, K), COCO 0/1/2
    edges_unit: Tensor  # (B, 4) left, top, right, bottom, NaN without an ear
    is_ear: Tensor  # (B,), 1 or 0


def detector_losses(
    reading: DetectorOutput, targets: DetectorTargets, margin_cells: int
) -> dict[str, Tensor]:
    """The terms, each a scalar: `points`, `edges`, `visibility`, `ear`. Their weights are the caller's."""
    return {
        "points": heatmap_loss(
            reading.point_heatmaps, targets.points_unit, targets.visibility, margin_cells=margin_cells
        ),
        "edges": edge_loss(reading.edge_heatmaps, reading.edges_unit, targets.edges_unit, margin_cells),
        "visibility": visibility_loss(reading.visibility_logits, targets.visibility),
        "ear": F.binary_cross_entropy_with_logits(reading.ear_logits.float(), targets.is_ear.float()),
    }


def edge_loss(
    heatmaps: Tensor,
    edges_unit: Tensor,
    target_edges_unit: Tensor,
    margin_cells: int,
    sigma_cells: float = 1.0,
    distance_weight: float = 10.0,
) -> Tensor:
    """As teacher.models.heatmaps.heatmap_loss in one dimension: the marginal of each edge's map against a
    Gaussian.

    heatmaps: (B, 4, h, w) logits for left, top, right, bottom; edges_unit: (B, 4) read from them;
    target_edges_unit: (B, 4), NaN where there is no ear. Edges beyond the map count nowhere.
    """
    cells = heatmaps.shape[-1]
    reach = margin_cells / (cells - 2 * margin_cells)
    counts = ((target_edges_unit >= -reach) & (target_edges_unit <= 1 + reach)).float()  # False for NaN
    target_edges = torch.nan_to_num(target_edges_unit.float(), nan=0.5)
    probabilities = spatial_softmax(heatmaps)
    over_y, over_x = probabilities.sum(dim=-2), probabilities.sum(dim=-1)
    marginal = torch.stack((over_y[:, 0], over_x[:, 1], over_y[:, 2], over_x[:, 3]), dim=1)
    target = gaussian_lines(target_edges, cells, margin_cells, sigma_cells)
    divergence = (torch.xlogy(target, target) - target * marginal.clamp_min(1e-12).log()).sum(dim=-1)
    distance = (edges_unit - target_edges).abs()
    return ((divergence + distance_weight * distance) * counts).sum() / counts.sum().clamp_min(1e-6)


def visibility_loss(logits: Tensor, visibility: Tensor) -> Tensor:
    """Binary cross-entropy of visible (2) against hidden (1); points not annotated (0) count nowhere.

    A hidden point counts HIDDEN_FACTOR times, so a logit of 0 stands for a probability of 0.8 to be visible.
    """
    counts = (visibility == VISIBLE).float() + HIDDEN_FACTOR * (visibility == HIDDEN).float()
    loss = F.binary_cross_entropy_with_logits(
        logits.float(), (visibility == VISIBLE).float(), reduction="none"
    )
    return (loss * counts).sum() / counts.sum().clamp_min(1e-6)


def edges_in_view(boxes_xyxy: Tensor, matrices: Tensor, view_px: int) -> Tensor:
    """Edges of the ear in a view of its photograph: (B, 4) px of the photograph -> (B, 4) unit coordinates.

    boxes_xyxy: edges, pixel i covers [i, i + 1], while matrices act on points, with pixel centres at
    integers. matrices: (B, 2, 3), photograph px -> view px. In a turned view the box of the turned corners
    would be far too wide for an ear, which leaves its corners empty: the bounds are those of the ellipse
    inscribed in the box, whose half extent along x is sqrt((a w/2)^2 + (b h/2)^2) for the matrix row (a,
    b). Exact without rotation.
    """
    centre = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2 - 0.5
    half = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) / 2
    linear, shift = matrices[:, :, :2], matrices[:, :, 2]
    moved = torch.einsum("bij,bj->bi", linear, centre) + shift
    reach = (linear * half[:, None, :]).square().sum(dim=-1).sqrt()
    return (torch.cat((moved - reach, moved + reach), dim=1) + 0.5) / view_px
