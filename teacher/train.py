"""Train the SAM-VAE to reconstruct ear crops: `python -m teacher.train --train-npy ... --val-npy ...`.

Writes `best.ckpt` (weights of the best validation PSNR, what later stages take), `last.ckpt` (to resume),
the three best checkpoints, `metrics.csv`, `metrics.json`, `tensorboard/` and
`reconstructions/epoch_XXXX.png`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from configs.build import with_options
from configs.command import run_command
from configs.groups import Fixed, Flat, Gone, Ignored, Renamed
from configs.provenance import write_provenance
from teacher.models.backbones.published import STAGED
from teacher.training.options import GRADIENT_CLIP, WEIGHT_DECAY, OptimizerOptions, TrainerOptions
from teacher.training.resume import find_resume, trained_on
from teacher.training.trainer import build_trainer, write_best_metrics
from teacher.vae_training.options import AugmentationOptions, BackboneOptions, LossOptions, VaeSizes
from teacher.vae_training.staged import stage_changes, train_in_stages


@dataclass(frozen=True)
class Config:
    """Train the SAM-VAE teacher by reconstruction; needs photographs and boxes, no landmarks."""

    train_npy: tuple[Path, ...]
    """Manifest of the ears to train on (image_paths, bboxes); of several, all ears."""
    val_npy: Path
    """Manifest of held-out ears, for PSNR, SSIM and the pictures."""
    output_dir: Path = Path("runs/teacher")
    """Where everything is written."""
    init_checkpoint: str = ""
    """Start from another VAE: with the same backbone from all its weights, which must be of the same sizes;
    with another one from all layers that fit, and the rest is named.
    """
    epochs: int = 60
    """Passes over the training ears."""
    max_minutes: float = 0.0
    """Stop cleanly after so many minutes, those before a resume included; the learning rate then falls by
    the clock. 0: no limit.
    """
    batch_size: int = 4
    """Crops a step and device."""
    gradient_checkpointing: bool = False
    """Compute the backbone's blocks a second time in the backward pass rather than keep what they saw."""
    probe_npy: Path | None = None
    """Manifest of labelled ears for the linear landmark probe of every epoch (teacher.probe); none: no
    probe.
    """
    optimizer: Flat[OptimizerOptions] = field(default_factory=OptimizerOptions)
    """Optimizer"""
    encoder: Flat[BackboneOptions] = field(default_factory=BackboneOptions)
    """Backbone of the encoder"""
    sizes: Flat[VaeSizes] = field(default_factory=VaeSizes)
    """Sizes of the VAE"""
    loss: Flat[LossOptions] = field(default_factory=LossOptions)
    """Loss"""
    augmentation: Flat[AugmentationOptions] = field(default_factory=AugmentationOptions)
    """Augmentation"""
    trainer: Flat[TrainerOptions] = field(default_factory=TrainerOptions)
    """Machine and reproducibility"""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "more_train_npy": Renamed("train_npy", joins=True),
        "carry_over": Renamed("init_checkpoint"),
        "weight_decay": Fixed(WEIGHT_DECAY, "no training needed another"),
        "gradient_clip": Fixed(GRADIENT_CLIP, "no training needed another"),
        "num_nodes": Ignored("torchrun and SLURM say on how many machines a training runs"),
    }


def main(config: Config) -> Path:
    """Train; returns the output folder. Raises UserError for what a user can mend, before training starts."""
    output_dir, trainer_options = Path(config.output_dir), config.trainer
    if config.encoder.backbone == STAGED:
        stages = stage_changes(config.encoder.backbone_options, config.epochs, config.max_minutes, output_dir)
        return train_in_stages(
            *stages, output_dir, trainer_options.resume, lambda changes: main(with_options(config, **changes))
        )
    from pytorch_lightning import seed_everything

    from teacher.checkpoint import require_crops_of, save_weights
    from teacher.vae_training import fit
    from teacher.vae_training.start import build_vae, find_start

    manifests = [*config.train_npy, config.val_npy, *filter(None, [config.probe_npy])]
    fit.check_inputs(
        manifests, config.encoder, config.augmentation, config.loss, config.gradient_checkpointing
    )
    seed = trainer_options.seed
    sets = {"train_npy": config.train_npy, "val_npy": config.val_npy}
    record = trained_on(sets, seed, config.optimizer.lr, config.batch_size)
    resume = find_resume(trainer_options.resume, output_dir, record)
    start = find_start(resume, config.init_checkpoint, config.encoder)
    seed_everything(seed, workers=True, verbose=False)
    weights = fit.loss_weights(config.loss)
    perceptual = fit.perceptual_distance(config.loss, config.sizes.image_size)
    model = build_vae(config.encoder, config.sizes, config.loss.fusion if weights.paired else None, start)
    fit.prepare_backbone_(model, config.gradient_checkpointing, config.augmentation.prefix_dir is not None)
    data = fit.ear_data(
        config.train_npy,
        config.val_npy,
        config.batch_size,
        trainer_options.num_workers,
        config.sizes.image_size,
        config.augmentation,
        weights.paired,
        seed,
    )
    model.crops = data.val_dataset.manifest.crops
    require_crops_of(start.filled_from, model.crops, "train_npy")
    if config.augmentation.prefix_dir is not None:
        fit.cache_frozen_features(
            data, model, config.augmentation, seed, trainer_options.num_workers, trainer_options.precision
        )
    module = fit.vae_module(model, weights, config.optimizer, perceptual)
    trainer = build_trainer(
        output_dir,
        epochs=config.epochs,
        monitor="val/psnr",
        mode="max",
        save_best=lambda trained: save_weights(output_dir / "best.ckpt", trained.model, "EarVAE"),
        seed=seed,
        precision=trainer_options.precision,
        devices=trainer_options.devices,
        max_minutes=config.max_minutes,
        callbacks=fit.watching(output_dir, data, config.probe_npy, seed),
        trained_on=record,
    )
    write_provenance(output_dir, config)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    write_best_metrics(output_dir, trainer, "val/psnr")
    return output_dir


if __name__ == "__main__":
    run_command(Config, main)
