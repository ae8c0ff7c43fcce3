"""Train the SAM-VAE to reconstruct ear crops: `python -m teacher.train --train-npy ... --val-npy ...`.

Writes `best.ckpt` (weights of the best validation PSNR, what later stages take), `last.ckpt` (to resume),
the three best checkpoints, `metrics.csv`, `metrics.json`, `tensorboard/` and
`reconstructions/epoch_XXXX.png`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command import run_command
from configs.errors import UserError
from data.augmentation import GeometryConfig, PhotometryConfig
from teacher.models.backbones.published import PUBLISHED, STAGED
from teacher.vae_training.staged import train_staged

if TYPE_CHECKING:
    from teacher.models.vae import EarVAE

OPTIONS_OF_SAM = ("sam_input_size", "prefix_dir", "gradient_checkpointing")
PICTURED_CROPS = 24  # of the validation set, in the reconstruction pictures


@dataclass
class Config:
    """Train the SAM-VAE teacher by reconstruction; needs photographs and boxes, no landmarks."""

    train_npy: Path
    """Manifest of the ears to train on (image_paths, bboxes)."""
    val_npy: Path
    """Manifest of held-out ears, for PSNR, SSIM and the pictures."""
    more_train_npy: tuple[Path, ...] = ()
    """Further manifests to train on together with the first."""
    output_dir: Path = Path("runs/teacher")
    """Where everything is written."""

    latent_dim: int = 1024
    """Dimensions of the latent."""
    image_size: int = 128
    """Side of the crops, px."""
    backbone: str = "sam"
    """The encoder's backbone; `python -m teacher.check --list` names all."""
    pretrained: bool = True
    """Start from the backbone's published weights (facebook/sam-vit-base and so on)."""
    weights: str = ""
    """Other backbone weights: a hub name, a folder in transformers' layout, or a file such as
    medsam_vit_b.pth; of an ensemble NAME=PLACE,NAME=PLACE.
    """
    sam_input_size: int | None = None
    """Side that SAM enlarges crops to, px: 16, 32, 48, ... from 128 to 1024. None: 256, or what
    backbone_options or the checkpoint that it starts from say.
    """
    backbone_options: dict[str, Any] = field(default_factory=dict)
    """Options of the backbone, such as {input_size: 256}; from scratch also its sizes. Of an ensemble
    {members: [sam, resnet50]}, or {members: {sam: {input_size: 256}, resnet50: {}}}.
    """
    freeze_layers: int | None = None
    """Backbone blocks, from the input on, that are not trained (0: all train, the patch embedding too). None:
    as many as suit published weights (half of SAM's), 0 from scratch.
    """
    feature_channels: int = 512
    """Width of the three stages behind the backbone."""
    decoder: str = "transposed"
    """The decoder: transposed (the design's) or residual (small and quick to learn)."""
    decoder_channels: tuple[int, ...] = (512, 512, 256, 128, 64, 32)
    """Channels of the decoder from the 4x4 grid on."""
    logvar_start: float = -6.0
    """Where the log-variance of the latent begins."""

    l1_weight: float = 1.0
    """Weight of the mean absolute error."""
    perceptual_weight: float = 1.5
    """Weight of the distance of VGG16 features; 0 needs no VGG16."""
    ssim_weight: float = 0.6
    """Weight of 1 - SSIM."""
    edge_weight: float = 0.3
    """Weight of the error of the image gradients."""
    contrastive_weight: float = 0.1
    """Weight of the mean absolute cosine between latents of different ears."""
    center_weight: float = 3.0
    """Weight of the absolute error weighted to the middle of the crop."""
    kl_weight: float = 1e-6
    """Weight of the KL divergence to the unit Gaussian."""
    matching_weight: float = 0.0
    """Weight of finding each place of a view in a second view of the same ear; 0 draws no second views."""
    exchange_weight: float = 0.0
    """Weight of the same by way of another ear."""
    matching_map: str = "fused"
    """The map in which places are matched: backbone, feat1, feat2, or fused, which EarDetector then takes
    over.
    """
    fusion: dict[str, int] = field(default_factory=lambda: {"width": 64, "cells": 32, "stem_channels": 32})
    """Sizes of the fused map, if that is matched; teacher.finetune wants the same."""
    second_geometry: GeometryConfig = field(default_factory=lambda: GeometryConfig(0.5, 30.0, 0.12, 0.22))
    """How the second view is moved: far enough that a place is not found by where it lies."""
    second_photometry: PhotometryConfig = field(default_factory=PhotometryConfig)
    """Light, noise, blur, occlusion of the second view."""
    vgg_weights: str = ""
    """VGG16 weights file in torchvision's layout; empty: torch's hub cache, then the network."""

    epochs: int = 60
    """Passes over the training ears."""
    max_minutes: float = 0.0
    """Stop cleanly after so many minutes, those before a resume included; the learning rate then falls by
    the clock. 0: no limit.
    """
    batch_size: int = 4
    """Crops a step and device."""
    lr: float = 3e-4
    """Highest learning rate (AdamW, warm-up, cosine)."""
    weight_decay: float = 0.05
    """Of matrices and kernels."""
    warmup_steps: int = 500
    """Steps over which the learning rate rises."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0: not clipped."""
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    """Augmentation that moves pixels: input and target alike."""
    photometry: PhotometryConfig = field(default_factory=PhotometryConfig)
    """Augmentation of light, noise, blur, occlusion: of the input only, the target stays clean."""
    probe_npy: Path | None = None
    """Manifest of labelled ears for the linear landmark probe of every epoch (teacher.probe); none: no
    probe.
    """
    train_views: int = 0
    """Augmented views of each ear, used in turn; 0: a new one every epoch."""
    prefix_dir: Path | None = None
    """Keep here what the frozen blocks say of each of the train_views (positions are frozen too), so that
    steps begin behind them. None: computed in every step.
    """
    gradient_checkpointing: bool = False
    """Compute the backbone's blocks a second time in the backward pass rather than keep what they saw."""
    precision: str = "32"
    """32, bf16-mixed, 16-mixed, bf16-true or 64."""
    devices: int = 1
    """GPUs (or processes on the CPU) to train on, on each node."""
    num_nodes: int = 1
    """Machines to train on: docs/cluster.md."""
    num_workers: int = 2
    """Processes that load crops."""
    seed: int = 0
    """Seed of weights, order, augmentation and noise."""
    resume: str = ""
    """Checkpoint to continue exactly, or auto: last.ckpt of the output folder if there."""
    init_checkpoint: str = ""
    """Start from the weights of another VAE of the same sizes."""
    carry_over: str = ""
    """Start from all layers that fit of a VAE with another backbone; the rest is named."""


def main(config: Config) -> Path:
    """Train; returns the output folder. Raises UserError for what a user can mend, before training starts."""
    if config.backbone == STAGED:
        return train_staged(config, main)
    resume = _check_inputs(config)
    from pytorch_lightning import seed_everything

    from configs.provenance import write_provenance
    from data.loading.datamodule import EarDataModule
    from teacher.checkpoint import save_weights
    from teacher.pictures import spread_targets
    from teacher.training.trainer import build_trainer, write_best_metrics
    from teacher.vae_training.correspondence import Correspondence
    from teacher.vae_training.frozen_prefix import with_prefix
    from teacher.vae_training.losses import LossWeights
    from teacher.vae_training.module import EarVAEModule, ReconstructionPictures

    output_dir = Path(config.output_dir)
    seed_everything(config.seed, workers=True, verbose=False)
    terms = [term.name for term in fields(LossWeights)]
    weights = LossWeights(**{term: getattr(config, f"{term}_weight") for term in terms})
    perceptual = _perceptual(config)
    model = _build_model(config, resume, weights.paired and config.matching_map == "fused")
    data = EarDataModule(
        train_npy=[config.train_npy, *config.more_train_npy],
        val_npy=config.val_npy,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        out_px=config.image_size,
        geometry=config.geometry,
        photometry=config.photometry,
        second_view=(config.second_geometry, config.second_photometry) if weights.paired else None,
        repeated_draws=config.train_views,
        seed=config.seed,
    )
    data.setup("fit")
    if config.prefix_dir is not None:
        data.train_dataset = with_prefix(config, model.encoder.backbone, data.train_dataset)
    matched = Correspondence(config.matching_map, model.map_channels) if weights.paired else None
    module = EarVAEModule(model, weights, config.lr, config.warmup_steps, perceptual, matched)
    pictures = ReconstructionPictures(
        output_dir / "reconstructions", spread_targets(data.val_dataset, PICTURED_CROPS)
    )
    trainer = build_trainer(
        output_dir,
        epochs=config.epochs,
        monitor="val/psnr",
        mode="max",
        save_best=lambda trained: save_weights(output_dir / "best.ckpt", trained.model, "EarVAE"),
        seed=config.seed,
        precision=config.precision,
        devices=config.devices,
        num_nodes=config.num_nodes,
        max_minutes=config.max_minutes,
        gradient_clip=config.gradient_clip,
        callbacks=[pictures, *_probes(config)],
    )
    write_provenance(output_dir, config)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    write_best_metrics(output_dir, trainer, "val/psnr")
    return output_dir


def _check_inputs(config: Config) -> Path | None:
    """What can be wrong with files, before the slow imports; returns the checkpoint to resume from."""
    from data.manifest import read_manifest
    from teacher.models.encoders import find_encoder_weights, frozen_layers
    from teacher.models.published_weights import find_vgg16_weights
    from teacher.training.trainer import find_resume

    manifests = [config.train_npy, *config.more_train_npy, config.val_npy, config.probe_npy]
    for path in filter(None, manifests):
        read_manifest(path)
    resume = find_resume(config.resume, Path(config.output_dir))
    of_sam = [name for name in OPTIONS_OF_SAM if getattr(config, name)]
    if of_sam and not _is_sam(config.backbone):
        raise UserError(f"{', '.join(of_sam)}: SAM's backbones know that, {config.backbone!r} does not.")
    frozen = frozen_layers(config.freeze_layers, config.pretrained)
    if config.prefix_dir is not None and (not config.train_views or frozen == 0):
        raise UserError(
            f"prefix_dir keeps what frozen blocks say of some views of an ear; here are {frozen or 'some'} "
            f"such blocks and {config.train_views} views: set --train-views (4, say) and --freeze-layers."
        )
    if config.pretrained and not resume and not config.init_checkpoint:
        find_encoder_weights(config.backbone, config.weights or None, config.backbone_options)
    if config.perceptual_weight:
        find_vgg16_weights(config.vgg_weights or None)
    return resume


def _perceptual(config: Config) -> Any:
    if config.perceptual_weight == 0:
        return None
    from teacher.vae_training.perceptual import load_vgg16

    return load_vgg16(config.vgg_weights or None)


def _probes(config: Config) -> list[Any]:
    from teacher.vae_training.landmark_probe import LandmarkProbe

    if config.probe_npy is None:
        return []
    return [LandmarkProbe(config.probe_npy, config.image_size, config.seed)]


def _build_model(config: Config, resume: Path | None, fused: bool) -> EarVAE:
    """A new model, or one filled from a checkpoint; that one then needs no published weights."""
    from teacher.checkpoint import carry_over, load_weights_into, read_checkpoint
    from teacher.models.backbones.sam import with_input_size
    from teacher.models.encoders import frozen_layers
    from teacher.models.vae import EarVAE

    source = resume or config.init_checkpoint or None
    options = config.backbone_options
    if source and not options:
        options = read_checkpoint(source, "EarVAE")["hyper_parameters"]["model"]["backbone_options"]
    if _is_sam(config.backbone):
        options = with_input_size(options, config.sam_input_size)
    model = EarVAE(
        latent_dim=config.latent_dim,
        image_size=config.image_size,
        backbone=config.backbone,
        freeze_layers=frozen_layers(config.freeze_layers, config.pretrained),
        pretrained=config.pretrained and not source,
        weights=config.weights or None,
        backbone_options=options,
        feature_channels=config.feature_channels,
        decoder=config.decoder,
        decoder_channels=config.decoder_channels,
        logvar_start=config.logvar_start,
        fusion=config.fusion if fused else None,
    )
    if source:
        load_weights_into(model, source, "EarVAE")
    elif config.carry_over:
        carry_over(model, config.carry_over, "EarVAE")
    if _is_sam(config.backbone):
        trunk = model.encoder.backbone
        trunk.checkpointing = config.gradient_checkpointing
        trunk.freeze(trunk.frozen_layers, positions=config.prefix_dir is not None)
    return model


def _is_sam(backbone: str) -> bool:
    return backbone in PUBLISHED and PUBLISHED[backbone].family == "sam"


if __name__ == "__main__":
    run_command(Config, main)
