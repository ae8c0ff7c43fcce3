"""The variational encoder: a backbone's map, three attended conv stages, two linear heads."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOLED_CELLS = 4  # the third stage sees a 4x4 grid, whatever the backbone's stride


class SpatialAttention(nn.Module):
    """Weigh each location by its channel maximum and mean (CBAM, Woo et al., ECCV 2018, eq. 3)."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, C, h, w). Returns the same shape, each location scaled by a factor in (0, 1)."""
        summary = torch.cat([features.amax(1, keepdim=True), features.mean(1, keepdim=True)], dim=1)
        return features * torch.sigmoid(self.conv(summary))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around an identity (He et al., CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, C, h, w). Returns the same shape, not negative."""
        return F.relu(features + self.body(features))


def _stage(in_channels: int, out_channels: int, attention_kernel: int, residual: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
    if residual:
        layers.append(ResidualBlock(out_channels))
    layers.append(SpatialAttention(attention_kernel))
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Images to the mean and log-variance of a diagonal Gaussian (Kingma & Welling, ICLR 2014).

    backbone: a module with `channels` and `forward(images) -> (B, channels, h, w)`.
    logvar_start: where the log-variance begins. Unit noise (0) on an untrained latent drowns the signal.
    `map_channels`: the channels of each map of the pyramid, by name.
    """

    def __init__(
        self, backbone: nn.Module, latent_dim: int, feature_channels: int, logvar_start: float
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.stage1 = _stage(backbone.channels, feature_channels, attention_kernel=7, residual=True)
        self.stage2 = _stage(feature_channels, feature_channels, attention_kernel=5, residual=True)
        self.stage3 = _stage(feature_channels, feature_channels, attention_kernel=3, residual=False)
        flat = feature_channels * POOLED_CELLS**2
        self.to_mu = nn.Sequential(nn.Linear(flat, latent_dim), nn.LayerNorm(latent_dim))
        self.to_logvar = nn.Sequential(nn.Linear(flat, latent_dim), nn.LayerNorm(latent_dim))
        nn.init.constant_(self.to_logvar[1].bias, logvar_start)
        self.map_channels = {"backbone": backbone.channels}
        self.map_channels |= dict.fromkeys(("feat1", "feat2", "feat3"), feature_channels)

    def extract_features(self, images: Tensor, tokens: Tensor | None = None) -> dict[str, Tensor]:
        """The feature pyramid that is distilled.

        images: (B, 3, H, W) in [-1, 1]; tokens: what the backbone's `begin` makes of them, where that is
        known already. Returns `backbone` (B, C, h, w), `feat1` and `feat2`
        (B, feature_channels, h, w) and `feat3` (B, feature_channels, 4, 4).
        """
        backbone = self.backbone(images) if tokens is None else self.backbone.finish(tokens)
        feat1 = self.stage1(backbone)
        feat2 = self.stage2(feat1)
        feat3 = self.stage3(F.adaptive_avg_pool2d(feat2, POOLED_CELLS))
        return {"backbone": backbone, "feat1": feat1, "feat2": feat2, "feat3": feat3}

    def latent(self, feat3: Tensor) -> tuple[Tensor, Tensor]:
        """The two heads. feat3: (B, feature_channels, 4, 4). Returns mu, logvar, each (B, latent_dim)."""
        flat = feat3.flatten(1)
        return self.to_mu(flat), self.to_logvar(flat)

    def heads(self) -> dict[str, list[nn.Module]]:
        """What makes `mu` and `logvar` out of feat3."""
        return {"mu": [self.to_mu], "logvar": [self.to_logvar]}

    @property
    def cells(self) -> int:
        """Side of the backbone's grid."""
        return self.backbone.input_size // self.backbone.stride

    @property
    def backbone_options(self) -> dict[str, Any]:
        """Plain values that rebuild the backbone."""
        return dict(self.backbone.options)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images: (B, 3, H, W) in [-1, 1]. Returns mu, logvar, each (B, latent_dim)."""
        return self.latent(self.extract_features(images)["feat3"])
