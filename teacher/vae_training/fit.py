"""What a VAE is trained on and with: checked inputs, crops, losses, and what watches the training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning import Callback

from configs.errors import UserError
from data.loading.datamodule import EarDataModule
from data.manifest import read_manifest
from teacher.checkpoint import require_margin
from teacher.models.encoders import frozen_layers
from teacher.models.vae import EarVAE
from teacher.pictures import spread_targets
from teacher.training.options import OptimizerOptions
from teacher.vae_training.correspondence import Correspondence
from teacher.vae_training.frozen_features import with_frozen_features
from teacher.vae_training.landmark_probe import LandmarkProbe
from teacher.vae_training.losses import LossWeights
from teacher.vae_training.module import EarVAEModule, ReconstructionPictures
from teacher.vae_training.options import SECOND_GEOMETRY, AugmentationOptions, BackboneOptions, LossOptions
from teacher.vae_training.perceptual import FeatureDistance, find_perceptual, load_perceptual
from teacher.vae_training.start import is_sam

PICTURED_CROPS = 24  # of the validation set, in the reconstruction pictures


def check_inputs(
    manifests: Sequence[Path],
    backbone: BackboneOptions,
    augmentation: AugmentationOptions,
    loss: LossOptions,
    checkpointing: bool,
) -> None:
    """Raise UserError, before anything is built, for files and options that cannot be used.

    manifests: of ears that must all be cut alike. checkpointing: of the gradients, which only SAM's backbones
    know.
    """
    crops = [read_manifest(path).crops for path in manifests]
    for other, path in zip(crops[1:], manifests[1:], strict=True):
        require_margin(other, crops[0], f"{path}", f"{manifests[0]}")
    asked = {"prefix_dir": augmentation.prefix_dir is not None, "gradient_checkpointing": checkpointing}
    of_sam = [name for name, wanted in asked.items() if wanted]
    if of_sam and not is_sam(backbone.backbone):
        raise UserError(f"{', '.join(of_sam)}: SAM's backbones know that, {backbone.backbone!r} does not.")
    frozen = frozen_layers(backbone.freeze_layers, backbone.pretrained)
    if augmentation.prefix_dir is not None and (not augmentation.train_views or frozen == 0):
        raise UserError(
            f"prefix_dir caches the features of frozen blocks for some views of an ear; here are "
            f"{frozen or 'some'} such blocks and {augmentation.train_views} views: set --train-views (4, "
            "say) and --freeze-layers."
        )
    if loss.perceptual_weight:
        find_perceptual(loss.vgg_weights or None)


def ear_data(
    train_npy: Sequence[Path],
    val_npy: Path,
    batch_size: int,
    num_workers: int,
    image_px: int,
    augmentation: AugmentationOptions,
    paired: bool,
    seed: int,
) -> EarDataModule:
    """The crops, ready to train on. paired: draw a second view of each ear."""
    data = EarDataModule(
        train_npy=list(train_npy),
        val_npy=val_npy,
        batch_size=batch_size,
        num_workers=num_workers,
        out_px=image_px,
        geometry=augmentation.geometry,
        photometry=augmentation.photometry,
        second_view=(SECOND_GEOMETRY, augmentation.second_photometry) if paired else None,
        repeated_draws=augmentation.train_views,
        seed=seed,
    )
    data.setup("fit")
    return data


def cache_frozen_features(
    data: EarDataModule,
    model: EarVAE,
    augmentation: AugmentationOptions,
    seed: int,
    num_workers: int,
    precision: str,
) -> None:
    """Let the training crops of `data` (changed in place) bring the features of the frozen blocks."""
    drawn = {
        "image_size": model.hparams["image_size"],
        "seed": seed,
        "geometry": augmentation.geometry,
        "photometry": augmentation.photometry,
        "second_geometry": SECOND_GEOMETRY,
        "second_photometry": augmentation.second_photometry,
    }
    data.train_dataset = with_frozen_features(
        augmentation.prefix_dir, model.encoder.backbone, data.train_dataset, drawn, num_workers, precision
    )


def loss_weights(loss: LossOptions) -> LossWeights:
    """Of all terms. Raises UserError for negative ones."""
    return LossWeights(
        perceptual=loss.perceptual_weight,
        ssim=loss.ssim_weight,
        edge=loss.edge_weight,
        contrastive=loss.contrastive_weight,
        center=loss.center_weight,
        kl=loss.kl_weight,
        matching=loss.matching_weight,
        exchange=loss.exchange_weight,
    )


def perceptual_distance(loss: LossOptions, image_px: int) -> FeatureDistance | None:
    """The network of the perceptual term, where it has a weight; image_px: side of the crops."""
    return load_perceptual(loss.vgg_weights or None, image_px) if loss.perceptual_weight else None


def vae_module(
    model: EarVAE, weights: LossWeights, optimizer: OptimizerOptions, perceptual: FeatureDistance | None
) -> EarVAEModule:
    """The Lightning module of a training."""
    matched = Correspondence("fused", model.map_channels) if weights.paired else None
    return EarVAEModule(model, weights, optimizer.lr, optimizer.warmup_steps, perceptual, matched)


def watching(output_dir: Path, data: EarDataModule, probe_npy: Path | None, seed: int) -> list[Callback]:
    """Pictures of reconstructions after every epoch and, with `probe_npy`, the linear landmark probe."""
    pictures = ReconstructionPictures(
        output_dir / "reconstructions", spread_targets(data.val_dataset, PICTURED_CROPS)
    )
    if probe_npy is None:
        return [pictures]
    return [pictures, LandmarkProbe(probe_npy, data.val_dataset.out_px, seed)]


def prepare_backbone_(model: EarVAE, checkpointing: bool, freeze_positions: bool) -> None:
    """Set how a SAM backbone (changed in place) trains; others stay as they are.

    checkpointing: of its gradients. freeze_positions: with its frozen blocks.
    """
    if is_sam(model.hparams["backbone"]):
        trunk = model.encoder.backbone
        trunk.checkpointing = checkpointing
        trunk.freeze(trunk.frozen_layers, positions=freeze_positions)
