"""What every teacher can do, whatever its encoder and decoder: maps, latents, reconstructions"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from data.crop_settings import CropSettings
from teacher.checkpoint import load_as
from teacher.models.fusion import PyramidFusion


class Autoencoder(nn.Module):
    """An encoder with `extract_features`, `latent`, `heads`, `map_channels` and `cells`, and a `Decoder`.

    A subclass makes `encoder`, `decoder`, `fusion` (or None) and `hparams`, plain values that rebuild it
    with `pretrained=False`.
    """

    encoder: nn.Module
    decoder: nn.Module
    fusion: PyramidFusion | None
    hparams: dict[str, Any]
    crops = CropSettings()  # of the ears it was trained on

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path) -> Self:
        """The model of a training or shipped checkpoint, in eval mode on the CPU.

        Raises UserError for a file that is missing, truncated or holds no such model.
        """
        return load_as({cls.__name__: partial(cls, pretrained=False)}, checkpoint_path)

    @property
    def map_channels(self) -> dict[str, int]:
        """Channels of each of `feature_maps`, by name."""
        fused = {} if self.fusion is None else {"fused": self.hparams["fusion"]["width"]}
        return {**self.encoder.map_channels, **fused}

    def build_fusion(
        self, channels: Mapping[str, int], width: int, cells: int, stem_channels: int
    ) -> PyramidFusion:
        """Random weights for fusing the maps named in `channels`; sizes as `teacher.models.fusion` names
        them.
        """
        grid_cells = min(self.encoder.cells, cells)
        return PyramidFusion(channels, grid_cells, cells, width, stem_channels)

    def feature_maps(self, images: Tensor, tokens: Tensor | None = None) -> dict[str, Tensor]:
        """The encoder's pyramid (`backbone`, `feat1`, `feat2`, `feat3`), and `fused` if there.

        images: (B, 3, image_size, image_size) in [-1, 1]; tokens: as `Encoder.extract_features` takes them,
        of an encoder that does. Returns maps (B, C, h, w).
        """
        maps = self.encoder.extract_features(*(images,) if tokens is None else (images, tokens))
        return maps if self.fusion is None else {**maps, "fused": self.fusion(maps, images)}

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images: (B, 3, image_size, image_size) in [-1, 1]. Returns mu, logvar, each (B, latent_dim)."""
        return self.encoder.latent(self.encoder.extract_features(images)["feat3"])

    def decode(self, latents: Tensor) -> Tensor:
        """latents: (B, latent_dim). Returns images (B, 3, image_size, image_size) in [-1, 1]."""
        return self.decoder(latents)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """images: (B, 3, image_size, image_size) in [-1, 1]. Returns reconstruction, mu, logvar.

        In training the latent is drawn by the reparameterisation trick; in eval mode it is mu.
        """
        return self.reconstruct(self.encoder.extract_features(images)["feat3"])

    def reconstruct(self, feat3: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, from the deepest map of `encoder.extract_features`."""
        mu, logvar = self.encoder.latent(feat3)
        latents = mu + torch.randn_like(mu) * (0.5 * logvar).exp() if self.training else mu
        return self.decode(latents), mu, logvar
