"""What a landmarker tells of its reading: whether there is an ear, and how far off each point may be."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from teacher.models.heatmaps import concentration, spatial_softmax

HIDDEN_CHANNELS = 32
FIRST_ERROR_UNIT = 0.02  # expected before training, a fraction of the crop's side
ERROR_RANGE_UNIT = (1e-3, 1.0)  # of an expected error: no reading is better, none can be worse


class EarScores(nn.Module):
    """A pyramid's maps and the heatmaps read from them -> ear or not, and each point's expected error.

    Ear or not is one hidden layer on the means of the maps at strides 8 to 32 and on how concentrated the
    heatmaps are (`teacher.models.heatmaps.concentration`). A point's error comes from these too, and from the
    map at stride 4 where its heatmap points.
    """

    def __init__(self, width: int, num_landmarks: int):
        super().__init__()
        context = 3 * width + num_landmarks
        self.ear = nn.Sequential(
            nn.Linear(context, HIDDEN_CHANNELS), nn.ReLU(), nn.Linear(HIDDEN_CHANNELS, 1)
        )
        self.error = nn.Linear(context, num_landmarks)
        nn.init.zeros_(self.error.weight)
        nn.init.constant_(self.error.bias, math.log(FIRST_ERROR_UNIT))
        self.error_at_point = nn.Parameter(torch.zeros(num_landmarks, width))

    def forward(self, maps: list[Tensor], heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """maps: four of (B, width, h, w), strides 4 to 32; heatmaps: logits (B, K, h, w) at stride 4.

        Returns ear_logit (B,), and log_error (B, K), the logarithm of the expected distance as a fraction of
        the crop's side, from which no gradient goes back into the maps.
        """
        probabilities = spatial_softmax(heatmaps)
        means = [x.float().mean(dim=(2, 3)) for x in maps[1:]]
        context = torch.cat([*means, concentration(probabilities)], dim=1)
        at_points = probabilities.detach().flatten(2) @ maps[0].detach().float().flatten(2).transpose(1, 2)
        log_error = self.error(context.detach()) + (at_points * self.error_at_point).sum(dim=-1)
        low, high = map(math.log, ERROR_RANGE_UNIT)
        return self.ear(context).squeeze(1), log_error.clamp(low, high)


def ear_loss(ear_logit: Tensor, is_ear: Tensor) -> Tensor:
    """Binary cross-entropy of (B,) logits against (B,) 0 or 1; a scalar."""
    return F.binary_cross_entropy_with_logits(ear_logit, is_ear)


def error_loss(log_error: Tensor, distance_unit: Tensor, counts: Tensor) -> Tensor:
    """Negative log-likelihood of distances distributed exponentially with the expected error as their mean,
    log(error) + distance / error: least where the error is the mean distance.

    log_error, distance_unit: (B, K), the latter a fraction of the crop's side; counts: (B, K) bool. A scalar,
    0 where no point counts.
    """
    loss = log_error + distance_unit.detach() * torch.exp(-log_error)
    return (loss * counts).sum() / counts.sum().clamp_min(1)
