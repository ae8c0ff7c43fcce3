"""The teacher that is checked, with what trains it."""

from __future__ import annotations

from dataclasses import replace

from teacher.margin.module import EarTeacherLightningModule
from teacher.models.backbones.published import MARGIN, STAGED
from teacher.training.optimizer import ScheduledModule
from teacher.vae_training.losses import LossWeights
from teacher.vae_training.module import EarVAEModule
from teacher.vae_training.options import BackboneOptions, VaeSizes
from teacher.vae_training.staged import read_stages
from teacher.vae_training.start import build_vae


def module_to_check(backbone: BackboneOptions, sizes: VaeSizes) -> ScheduledModule:
    """The Lightning module of a teacher by its name. Of a staged one the second stage, the larger.

    Raises UserError for sizes that do not fit together and for weights that cannot be found.
    """
    if backbone.backbone == STAGED:
        stages = read_stages(backbone.backbone_options)
        then = replace(backbone, backbone=stages.then, backbone_options=stages.then_options)
        return module_to_check(then, sizes)
    if backbone.backbone == MARGIN:
        return EarTeacherLightningModule(
            embedding_dim=sizes.latent_dim,
            image_size=sizes.image_size,
            pretrained=backbone.pretrained,
            pretrained_path=backbone.weights or None,
            backbone_options=backbone.backbone_options,
            decoder_channels=sizes.decoder_channels,
            num_collage_samples=0,
        )
    return EarVAEModule(build_vae(backbone, sizes), LossWeights(perceptual=0), lr=1e-4)
