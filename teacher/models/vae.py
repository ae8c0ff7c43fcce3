"""EarVAE: the teacher. A backbone, a variational latent and a decoder that reconstruct ear crops."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from configs.errors import UserError, did_you_mean
from teacher.models.autoencoder import Autoencoder
from teacher.models.decoder import DECODERS
from teacher.models.encoders import build_encoder


class EarVAE(Autoencoder):
    """Variational autoencoder of ear crops around a (pretrained) vision backbone.

    latent_dim: of mu and logvar.
    image_size: side of the crops, px.
    backbone: a name of `teacher.models.backbones.published`; backbone_options go to its builder.
    freeze_layers: how many of the backbone's blocks, from the input on, are not trained; None: as many as
        suit it (half of SAM's).
    pretrained: load published weights (`weights`: a hub name, a folder or a file; None for the
        backbone's own). False gives random weights and never asks the network.
    feature_channels: width of the three conv stages behind the backbone.
    decoder: a name of `teacher.models.decoder.DECODERS`, with decoder_channels from the 4x4 grid on.
    logvar_start: where the log-variance begins.
    fusion: {width, cells, stem_channels} of a fine map `fused` out of the encoder's
    (`teacher.models.fusion`).
        Reconstruction does not need it: `teacher.vae_training.correspondence` trains it, EarDetector takes it
        over. None: no such map.

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

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Images decoded from `count` draws of the prior: (count, 3, image_size, image_size) in [-1, 1]."""
        parameter = next(self.decoder.parameters())
        latents = torch.randn(count, self.hparams["latent_dim"], generator=generator)
        return self.decode(latents.to(parameter))
