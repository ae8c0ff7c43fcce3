"""EarVAE: the teacher. A backbone, a variational latent and a decoder that reconstruct ear crops."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from configs.errors import UserError, did_you_mean
from teacher.decoder import DECODERS
from teacher.encoders import build_encoder
from teacher.fusion import PyramidFusion


class EarVAE(nn.Module):
    """Variational autoencoder of ear crops around a (pretrained) vision backbone.

    latent_dim: of mu and logvar.
    image_size: side of the crops, px.
    backbone: a name of `teacher.backbones.published`; backbone_options go to its builder.
    freeze_layers: how many of the backbone's blocks, from the input on, are not trained; None: as many as
        suit it (half of SAM's).
    pretrained: load published weights (`weights`: a hub name, a folder or a file; None for the
        backbone's own). False gives random weights and never asks the network.
    feature_channels: width of the three conv stages behind the backbone.
    decoder: a name of `teacher.decoder.DECODERS`, with decoder_channels from the 4x4 grid on.
    logvar_start: where the log-variance begins.
    fusion: {width, cells, stem_channels} of a fine map `fused` out of the encoder's (`teacher.fusion`).
        Reconstruction does not need it: `teacher.correspondence` trains it, EarDetector takes it over. None:
        no such map.

    Raises UserError for an unknown backbone or decoder and for sizes that do not fit together.
    """

    def __init__(
        self,
        latent_dim: int = 1024,
        image_size: int = 128,
        backbone: str = "sam",
        freeze_layers: int | None = None,
        pretrained: bool = True,
        weights: str | None = None,
        backbone_options: dict[str, Any] | None = None,
        feature_channels: int = 512,
        decoder: str = "transposed",
        decoder_channels: Sequence[int] = (512, 512, 256, 128, 64, 32),
        logvar_start: float = -6.0,
        fusion: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        if decoder not in DECODERS:
            hint = did_you_mean(decoder, DECODERS)
            raise UserError(f"decoder {decoder!r} is unknown; allowed: {', '.join(DECODERS)}.{hint}")
        self.hparams = {
            "latent_dim": latent_dim,
            "image_size": image_size,
            "backbone": backbone,
            "freeze_layers": freeze_layers,
            "backbone_options": dict(backbone_options or {}),
            "feature_channels": feature_channels,
            "decoder": decoder,
            "decoder_channels": list(decoder_channels),
            "logvar_start": logvar_start,
            "fusion": dict(fusion) if fusion else None,
        }
        self.encoder = build_encoder(
            backbone,
            pretrained,
            weights,
            dict(backbone_options or {}),
            freeze_layers,
            latent_dim,
            feature_channels,
            logvar_start,
        )
        # in full: weights bring their own sizes
        self.hparams["backbone_options"] = self.encoder.backbone_options
        self.decoder = DECODERS[decoder](latent_dim, image_size, decoder_channels)
        self.fusion = self.build_fusion(self.encoder.map_channels, **fusion) if fusion else None

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path) -> "EarVAE":
        """The model of a training or shipped checkpoint, in eval mode on the CPU.

        Raises UserError for a file that is missing, truncated or holds no EarVAE.
        """
        from teacher.checkpoint import load_model

        return load_model(checkpoint_path, kind="EarVAE")

    @property
    def map_channels(self) -> dict[str, int]:
        """Channels of each of `feature_maps`, by name."""
        fused = {} if self.fusion is None else {"fused": self.hparams["fusion"]["width"]}
        return {**self.encoder.map_channels, **fused}

    def build_fusion(
        self, channels: Mapping[str, int], width: int, cells: int, stem_channels: int
    ) -> PyramidFusion:
        """Random weights for fusing the maps named in `channels`; sizes as `teacher.fusion` names them."""
        grid_cells = min(self.encoder.cells, cells)
        return PyramidFusion(channels, grid_cells, cells, width, stem_channels)

    def feature_maps(self, images: Tensor) -> dict[str, Tensor]:
        """The encoder's pyramid (`Encoder.extract_features`), and `fused` (B, width, cells, cells) if there.

        images: (B, 3, image_size, image_size) in [-1, 1].
        """
        maps = self.encoder.extract_features(images)
        return maps if self.fusion is None else {**maps, "fused": self.fusion(maps, images)}

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images: (B, 3, image_size, image_size) in [-1, 1]. Returns mu, logvar, each (B, latent_dim)."""
        return self.encoder(images)

    def decode(self, latents: Tensor) -> Tensor:
        """latents: (B, latent_dim). Returns images (B, 3, image_size, image_size) in [-1, 1]."""
        return self.decoder(latents)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Images decoded from `count` draws of the prior: (count, 3, image_size, image_size) in [-1, 1]."""
        parameter = next(self.decoder.parameters())
        latents = torch.randn(count, self.hparams["latent_dim"], generator=generator)
        return self.decode(latents.to(parameter))

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
