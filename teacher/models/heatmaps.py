"""Points read from heatmaps: soft-argmax, Gaussian targets, and the loss that trains them.

Frame: unit crop coordinates, u = (x_px + 0.5) / width_px, so that 0 and 1 are the outer edges of the crop
and the centre of cell j of w cells lies at (j + 0.5) / w.

A map may carry `margin_cells` extra cells on every side, outside the crop. An average over cells never
reaches the outermost ones (a peak at the border loses its outer half and is pulled inwards), so points near
the edge of the crop are only reachable without bias when the map goes on beyond it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from data.manifest import HIDDEN, VISIBLE

CONFIDENCE_WINDOW_CELLS = 5  # +-2 cells hold 97 % of a Gaussian of one cell's deviation (DEFAULT_SIGMA_CELLS)
DEFAULT_SIGMA_CELLS = 1.0  # Nibali et al. 2018, table 3: one pixel of the heatmap did best


def soft_argmax(logits: Tensor, margin_cells: int = 0) -> tuple[Tensor, Tensor]:
    """Expected position under the softmax of each map, and how concentrated that softmax is.

    logits: (B, K, h, w), any real numbers; h and w include `margin_cells` cells on every side.
    Returns points_unit (B, K, 2), x then y, and confidence (B, K) in 0..1: the largest probability found in a
    window of 5x5 cells. A sharp single peak gives 1, two equal far peaks 0.5, a flat map 25 / (h * w).
    Sun et al., Integral Human Pose Regression, ECCV 2018, eq. 2. Exports to ONNX.
    """
    probabilities = spatial_softmax(logits)
    height, width = logits.shape[-2:]
    x = (probabilities.sum(dim=-2) * cell_centres(width, margin_cells, probabilities)).sum(dim=-1)
    y = (probabilities.sum(dim=-1) * cell_centres(height, margin_cells, probabilities)).sum(dim=-1)
    return torch.stack((x, y), dim=-1), concentration(probabilities)


def heatmap_loss(
    logits: Tensor,
    points_unit: Tensor,
    visibility: Tensor,
    margin_cells: int = 0,
    sigma_cells: float = DEFAULT_SIGMA_CELLS,
    distance_weight: float = 10.0,
    shape_weight: float = 1.0,
    hidden_weight: float = 0.5,
    weight: Tensor | None = None,
) -> Tensor:
    """Distance of the expected point to the true one, plus cross-entropy of the map to a Gaussian there.

    logits: (B, K, h, w); points_unit: (B, K, 2), NaN allowed where not annotated; visibility: (B, K), COCO
    0 not annotated (counts nowhere), 1 annotated but hidden (counts `hidden_weight`), 2 visible.
    weight: (B, K) further factors, for pseudo-labels. Points outside the map count nowhere.
    Returns a scalar, 0 when the map is the Gaussian and its mean the point; 0 with zero gradient when no
    point counts. The distance is DSNT's (Nibali et al. 2018, eq. 5); the shape term is the Kullback-Leibler
    divergence of the map from the target (cross-entropy less the target's own entropy) where the paper
    regularises with Jensen-Shannon, which is bounded and therefore hardly pulls at a peak in the wrong place.
    """
    height, width = logits.shape[-2:]
    point_weight = point_weights(points_unit, visibility, (height, width), margin_cells, hidden_weight)
    if weight is not None:
        point_weight = point_weight * weight
    target_points = torch.nan_to_num(_full_precision(points_unit), nan=0.5)
    predicted_points, _ = soft_argmax(logits, margin_cells)
    distance = (predicted_points - target_points).square().sum(dim=-1).add(1e-10).sqrt() - 1e-5
    target = gaussian_targets(target_points, height, width, margin_cells, sigma_cells)
    divergence = kl_divergence(target, logits)
    loss = distance_weight * distance + shape_weight * divergence
    return (loss * point_weight).sum() / point_weight.sum().clamp_min(1e-6)


def point_weights(
    points_unit: Tensor,
    visibility: Tensor,
    map_shape: tuple[int, int],
    margin_cells: int,
    hidden_weight: float,
) -> Tensor:
    """(B, K) weight of each point in the loss: 1 visible, `hidden_weight` hidden, 0 elsewhere.

    0 for points that are not annotated, not finite, or beyond the map including its margin.
    """
    reach = torch.tensor(
        [margin_cells / (size - 2 * margin_cells) for size in (map_shape[1], map_shape[0])],
        device=points_unit.device,
    )
    inside = ((points_unit >= -reach) & (points_unit <= 1 + reach)).all(dim=-1)  # False for NaN
    by_visibility = (visibility == VISIBLE).float() + hidden_weight * (visibility == HIDDEN).float()
    return by_visibility * inside.float()


def gaussian_targets(
    points_unit: Tensor,
    height: int,
    width: int,
    margin_cells: int = 0,
    sigma_cells: float = DEFAULT_SIGMA_CELLS,
) -> Tensor:
    """Gaussians at points_unit (B, K, 2), each summing to 1 over its (height, width) map -> (B, K, h, w).

    The deviation is `sigma_cells` cells in both directions; height and width include the margin.
    """
    return torch.einsum(
        "bky,bkx->bkyx",
        gaussian_lines(points_unit[..., 1], height, margin_cells, sigma_cells),
        gaussian_lines(points_unit[..., 0], width, margin_cells, sigma_cells),
    )


def kl_divergence(target: Tensor, logits: Tensor) -> Tensor:
    """KL(target || softmax(logits)) of each map, nats: (B, K, h, w) twice -> (B, K)."""
    log_probabilities = F.log_softmax(_full_precision(logits).flatten(2), dim=-1)
    target = target.flatten(2)
    return (torch.xlogy(target, target) - target * log_probabilities).sum(dim=-1)


def spatial_softmax(logits: Tensor) -> Tensor:
    """(B, K, h, w) -> the same, each map summing to 1, never in half precision."""
    return F.softmax(_full_precision(logits).flatten(2), dim=-1).reshape(logits.shape)


def concentration(probabilities: Tensor) -> Tensor:
    """(B, K, h, w) maps that sum to 1 -> (B, K), the largest sum over a 5x5 window.

    Shifted maps are added, first rows, then columns: a pooling of 5x5 took a third of a landmarker's time in
    ONNX Runtime.
    """
    window, (height, width) = CONFIDENCE_WINDOW_CELLS, probabilities.shape[-2:]
    padded = F.pad(probabilities, (window // 2,) * 4)
    columns = sum(padded[..., row : row + height, :] for row in range(window))
    sums = sum(columns[..., column : column + width] for column in range(window))
    return sums.flatten(2).max(dim=-1).values.clamp(0.0, 1.0)


def cell_centres(cells: int, margin_cells: int, like: Tensor) -> Tensor:
    """Unit coordinates of the centres of `cells` cells, `margin_cells` of them outside on either side."""
    index = torch.arange(cells, device=like.device, dtype=like.dtype)
    return (index - margin_cells + 0.5) / (cells - 2 * margin_cells)


def gaussian_lines(positions_unit: Tensor, cells: int, margin_cells: int, sigma_cells: float) -> Tensor:
    """(B, K) -> (B, K, cells), a one-dimensional Gaussian that sums to 1."""
    inner_cells = cells - 2 * margin_cells
    positions_unit = _full_precision(positions_unit)
    centres = cell_centres(cells, margin_cells, positions_unit)
    offset_cells = (centres - positions_unit.unsqueeze(-1)) * inner_cells
    # A softmax of the exponents never divides by zero, however far outside the point lies.
    return F.softmax(-0.5 * (offset_cells / sigma_cells).square(), dim=-1)


def _full_precision(values: Tensor) -> Tensor:
    """Half precision to float32: a softmax over a thousand cells loses its small tails in eight bits."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
