"""What the margin loss needs in training beside the teacher: projection, predictor, classes"""

from __future__ import annotations

import math

import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss
from torch import Tensor, nn

from configs.errors import UserError, did_you_mean

METRIC_LOSSES = ("arcface", "cosface", "none")


class MetricHead(nn.Module):
    """Embeddings and pseudo-classes -> the margin loss. Trained, but no part of the teacher.

    The embedding is projected to projection_dim; a predictor in the manner of SimSiam (Chen & He, CVPR 2021)
    stands on that side alone: the side it has to meet, the class of the clean crop, gets no gradient.
    loss: arcface (Deng et al., CVPR 2019, eq. 3; margin_rad in radians) or cosface (Wang et al., CVPR 2018,
    eq. 4; the margin is one of cosines).
    Raises UserError for another loss.
    """

    def __init__(
        self,
        embedding_dim: int,
        projection_dim: int,
        classes: int,
        loss: str = "arcface",
        margin: float = 0.5,
        scale: float = 64.0,
    ) -> None:
        super().__init__()
        if loss not in METRIC_LOSSES or loss == "none":
            hint = did_you_mean(loss, METRIC_LOSSES)
            raise UserError(f"metric_loss {loss!r} is unknown; allowed: {', '.join(METRIC_LOSSES)}.{hint}")
        self.projection = nn.Sequential(
            nn.Linear(embedding_dim, embedding_dim, bias=False),
            nn.BatchNorm1d(embedding_dim),
            nn.ReLU(inplace=True),
            nn.Linear(embedding_dim, projection_dim, bias=False),
            nn.BatchNorm1d(projection_dim),
        )
        narrow = max(projection_dim // 4, 1)
        self.predictor = nn.Sequential(
            nn.Linear(projection_dim, narrow, bias=False),
            nn.BatchNorm1d(narrow),
            nn.ReLU(inplace=True),
            nn.Linear(narrow, projection_dim),
        )
        if loss == "arcface":
            self.loss = ArcFaceLoss(classes, projection_dim, margin=math.degrees(margin), scale=scale)
        else:
            self.loss = CosFaceLoss(classes, projection_dim, margin=margin, scale=scale)

    def predicted(self, embeddings: Tensor) -> Tensor:
        """embeddings: (B, embedding_dim). Returns (B, projection_dim)."""
        return self.predictor(self.projection(embeddings))

    def forward(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        """embeddings: (B, embedding_dim); classes: (B,) int64. Returns the mean loss."""
        return self.loss(self.predicted(embeddings).float(), classes)

    @torch.no_grad()
    def imprint_(self, embeddings: Tensor, classes: Tensor) -> None:
        """Each class's weight becomes the mean of its members' predictions; the others keep theirs.

        Renewed classes have nothing to do with the weights of those before (imprinting: Qi et al., CVPR
        2018). embeddings: (N, embedding_dim); classes: (N,) int64.
        """
        was_training = self.training
        units = nn.functional.normalize(self.eval().predicted(embeddings), dim=1)
        self.train(was_training)
        weights = self.loss.W  # (projection_dim, classes)
        sums = torch.zeros_like(weights).index_add_(1, classes, units.T.to(weights.dtype))
        met = torch.bincount(classes, minlength=weights.shape[1]) > 0
        weights[:, met] = nn.functional.normalize(sums[:, met], dim=0)
