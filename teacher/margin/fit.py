"""What the margin teacher is trained on and with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data.augmentation import GeometryConfig, PhotometryConfig
from data.crop_settings import CropSettings
from data.loading.datamodule import EarDataModule
from teacher.checkpoint import require_margin
from teacher.margin.module import EarTeacherLightningModule
from teacher.margin.options import CropOptions, LossOptions, ModelOptions, ScheduleOptions


def ear_data(
    train_npy: Path,
    val_npy: Path,
    crops: CropOptions,
    batch_size: int,
    image_px: int,
    num_workers: int,
    seed: int,
) -> EarDataModule:
    """The crops, ready to train on. Raises UserError for manifests of ears that are not cut alike."""
    data = EarDataModule(
        train_npy=train_npy,
        val_npy=val_npy,
        batch_size=batch_size,
        num_workers=num_workers,
        out_px=image_px,
        margin=crops.bbox_buffer,
        geometry=GeometryConfig() if crops.augment else None,
        photometry=PhotometryConfig() if crops.augment else None,
        seed=seed,
    )
    data.setup("fit")
    if crops.bbox_buffer is None:
        train, val = data.train_dataset.manifest.crops, data.val_dataset.manifest.crops
        require_margin(val, train, f"{val_npy}", f"{train_npy}")
    return data


def crops_seen(data: EarDataModule, options: CropOptions) -> CropSettings:
    """How the ears of `data` are cut."""
    crops = data.val_dataset.manifest.crops
    return crops if options.bbox_buffer is None else replace(crops, margin=options.bbox_buffer)


def margin_module(
    model: ModelOptions,
    loss: LossOptions,
    schedule: ScheduleOptions,
    collage_samples: int,
    seed: int,
    pretrained: bool,
) -> EarTeacherLightningModule:
    """The Lightning module of a training. pretrained: as `model.pretrained`, unless a training is resumed."""
    return EarTeacherLightningModule(
        learning_rate=schedule.learning_rate,
        max_epochs=schedule.max_epochs,
        weight_decay=schedule.weight_decay,
        warmup_epochs=schedule.warmup_epochs,
        reconstruction_weight=loss.reconstruction_weight,
        metric_weight=loss.metric_weight,
        metric_loss=loss.metric_loss,
        num_pseudo_classes=loss.num_pseudo_classes,
        arcface_margin=loss.arcface_margin,
        arcface_scale=loss.arcface_scale,
        projection_dim=model.projection_dim,
        embedding_dim=model.embedding_dim,
        image_size=model.image_size,
        pretrained=pretrained,
        pretrained_path=model.pretrained_path or None,
        backbone_options=model.backbone_options,
        decoder_channels=model.decoder_channels,
        pseudo_classes=loss.pseudo_classes,
        renew_epochs=loss.renew_epochs,
        num_collage_samples=collage_samples,
        seed=seed,
    )
