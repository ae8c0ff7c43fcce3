"""Which weights a VAE starts its training from, and the model with them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from teacher.checkpoint import carry_over, load_weights_into, read_checkpoint
from teacher.models.backbones.published import PUBLISHED
from teacher.models.backbones.sam import with_input_size
from teacher.models.encoders import find_encoder_weights, frozen_layers
from teacher.models.sizes import FusionSizes
from teacher.models.vae import EarVAE
from teacher.vae_training.options import BackboneOptions, VaeSizes


@dataclass(frozen=True)
class Start:
    """A checkpoint that fills the model, or gives what fits of it; neither: published or random weights."""

    filled_from: Path | None = None
    carried_from: Path | None = None
    backbone_options: dict[str, Any] | None = None  # of the checkpoint that fills the model


def find_start(resume: Path | None, init_checkpoint: str, backbone: BackboneOptions) -> Start:
    """Where the weights come from: a training to resume, else `init_checkpoint`, else the published ones.

    All layers that fit are carried over from a VAE with another backbone; with the same one all must fit.
    Raises UserError, before anything is built, for what is missing or cannot be read.
    """
    source = resume or (Path(init_checkpoint) if init_checkpoint else None)
    found = read_checkpoint(source, "EarVAE")["hyper_parameters"]["model"] if source else None
    if found and (resume or found["backbone"] == backbone.backbone):
        return Start(filled_from=source, backbone_options=found["backbone_options"])
    if backbone.pretrained:
        find_encoder_weights(backbone.backbone, backbone.weights or None, backbone.backbone_options)
    return Start(carried_from=source)


def build_vae(
    backbone: BackboneOptions, sizes: VaeSizes, fusion: FusionSizes | None = None, start: Start | None = None
) -> EarVAE:
    """A new model, or one filled from a checkpoint; that one then needs no published weights.

    Raises UserError for sizes that do not fit together or to the checkpoint.
    """
    start = start or Start()
    options = {**(start.backbone_options or {}), **backbone.backbone_options}
    if is_sam(backbone.backbone):
        options = with_input_size(options)
    model = EarVAE(
        latent_dim=sizes.latent_dim,
        image_size=sizes.image_size,
        backbone=backbone.backbone,
        freeze_layers=frozen_layers(backbone.freeze_layers, backbone.pretrained),
        pretrained=backbone.pretrained and start.filled_from is None,
        weights=backbone.weights or None,
        backbone_options=options,
        feature_channels=sizes.feature_channels,
        decoder=sizes.decoder,
        decoder_channels=sizes.decoder_channels,
        fusion=None if fusion is None else asdict(fusion),
    )
    if start.filled_from:
        load_weights_into(model, start.filled_from, "EarVAE")
    elif start.carried_from:
        carry_over(model, start.carried_from, "EarVAE")
    return model


def is_sam(backbone: str) -> bool:
    """Whether it is one of Segment Anything's image encoders."""
    return backbone in PUBLISHED and PUBLISHED[backbone].family == "sam"
