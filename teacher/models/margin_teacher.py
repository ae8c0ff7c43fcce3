"""MarginTeacher: ConvNeXt-Tiny, an embedding, and a decoder of transposed convolutions"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from configs.errors import UserError
from teacher.models.autoencoder import Autoencoder
from teacher.models.backbones.published import PUBLISHED
from teacher.models.backbones.timm_net import TimmBackbone, build_timm
from teacher.models.decoder import Decoder
from teacher.models.published_weights import find_weights

BACKBONE = "convnext_tiny"
STRIDES = {"backbone": 4, "feat1": 8, "feat2": 16, "feat3": 32}  # the stages that the pyramid is made of
COARSEST = STRIDES["feat3"]


class MarginTeacher(Autoencoder):
    """A ConvNeXt, all of it trainable, whose pooled last stage is the embedding that the decoder reads.

    backbone_options: of `convnext_tiny` (teacher.models.backbones), such as {sizes: {...}}. pretrained:
    published weights, pretrained_path another place of them. decoder_channels: of each grid from
    image_size/32 on, and last those of the full-resolution map. Raises UserError for sizes that do not fit
    together and for weights that cannot be found.
    """

    def __init__(
        self,
        embedding_dim: int = 768,
        image_size: int = 224,
        backbone_options: dict[str, Any] | None = None,
        decoder_channels: Sequence[int] = (512, 256, 128, 64, 32, 16),
        pretrained: bool = True,
        pretrained_path: str | None = None,
    ) -> None:
        super().__init__()
        if image_size < COARSEST or image_size % COARSEST:
            raise UserError(f"image_size={image_size} is not a multiple of {COARSEST}")
        path = _find_weights(pretrained_path) if pretrained else None
        options = {**(backbone_options or {}), "input_size": image_size, "strides": list(STRIDES.values())}
        trunk = build_timm(PUBLISHED[BACKBONE], path, options)
        self.encoder = StageEncoder(trunk, embedding_dim)
        self.decoder = PlainDecoder(embedding_dim, image_size, decoder_channels)
        self.fusion = None
        self.hparams = {
            "embedding_dim": embedding_dim,
            "image_size": image_size,
            "backbone_options": dict(trunk.options),
            "decoder_channels": list(decoder_channels),
        }


class StageEncoder(nn.Module):
    """The stages of a hierarchical network as the pyramid, and its pooled last one as the latent.

    The interface is that of `teacher.models.encoder.Encoder`.
    """

    def __init__(self, backbone: TimmBackbone, embedding_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.map_channels = dict(zip(STRIDES, backbone.stage_channels, strict=True))
        last = self.map_channels["feat3"]
        self.to_embedding = nn.Sequential(nn.LayerNorm(last), nn.Linear(last, embedding_dim))
        self.cells = backbone.input_size // STRIDES["feat2"]

    def extract_features(self, images: Tensor) -> dict[str, Tensor]:
        """images: (B, 3, H, W) in [-1, 1]. Returns the maps at strides 4, 8, 16 and 32 by their names."""
        return dict(zip(STRIDES, self.backbone.stage_maps(images), strict=True))

    def latent(self, feat3: Tensor) -> tuple[Tensor, Tensor]:
        """feat3: (B, C, h, w). Returns the embedding (B, embedding_dim) and its log-variance.

        That is minus infinity: the embedding is a point.
        """
        embedding = self.to_embedding(feat3.mean(dim=(2, 3)))
        return embedding, torch.full_like(embedding, -torch.inf)

    def heads(self) -> dict[str, list[nn.Module]]:
        """What makes the latent out of feat3."""
        return {"mu": [self.to_embedding], "logvar": []}


class PlainDecoder(Decoder):
    """4x4 stride-2 transposed convolutions, batch norm and ReLU, from image_size/32 cells on."""

    def __init__(self, latent_dim: int, image_size: int, channels: Sequence[int]) -> None:
        super().__init__(latent_dim, channels[0], image_size // COARSEST)
        steps = COARSEST.bit_length() - 1
        if len(channels) != steps + 1:
            raise UserError(f"decoder_channels {tuple(channels)}: {steps + 1} numbers are needed")
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1),
                nn.BatchNorm2d(narrow),
                nn.ReLU(inplace=True),
            )
            for wide, narrow in zip(channels, channels[1:], strict=False)
        )
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)


def _find_weights(pretrained_path: str | None) -> str:
    return str(find_weights(pretrained_path, PUBLISHED[BACKBONE], flag="--pretrained-path"))
