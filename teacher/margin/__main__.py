"""Train the margin teacher: `python -m teacher.margin --train-metadata ... --val-metadata ...`.

ConvNeXt-Tiny learns ears without labels: by reconstructing them, and by a margin loss over pseudo-classes
that are clusters of its own embeddings. Writes `best.ckpt` (what later stages take), `last.ckpt` (to
resume), the three best and every fifth checkpoint, `metrics.csv`, `metrics.json`, `tensorboard/` and
`reconstruction_collages/epoch_XXXX.png`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from configs.command import run_command
from configs.groups import Flat
from configs.provenance import write_provenance
from teacher.margin.options import CropOptions, LossOptions, ModelOptions, ScheduleOptions
from teacher.training.options import TrainerOptions
from teacher.training.resume import find_resume, trained_on
from teacher.training.trainer import build_trainer, write_best_metrics

KEEP_EVERY = 5  # epochs


@dataclass(frozen=True)
class Config:
    """Train the self-supervised margin teacher; needs photographs and boxes, no landmarks."""

    train_metadata: Path = Path("data/preprocessed/train_teacher.npy")
    """Manifest of the ears to train on."""
    val_metadata: Path = Path("data/preprocessed/val_teacher.npy")
    """Manifest of held-out ears."""
    output_dir: Path = Path("runs/margin")
    """Where everything is written."""
    experiment_name: str = ""
    """A folder in output_dir for this experiment; empty: output_dir itself."""
    num_collage_samples: int = 8
    """Ears in a collage (originals above, reconstructions below); 0: no collages."""
    schedule: Flat[ScheduleOptions] = field(default_factory=ScheduleOptions)
    """Length and optimizer"""
    model: Flat[ModelOptions] = field(default_factory=ModelOptions)
    """Model"""
    loss: Flat[LossOptions] = field(default_factory=LossOptions)
    """Loss and pseudo-classes"""
    crops: Flat[CropOptions] = field(default_factory=CropOptions)
    """Crops"""
    trainer: Flat[TrainerOptions] = field(default_factory=TrainerOptions)
    """Machine and reproducibility"""


def main(config: Config) -> Path:
    """Train; returns the output folder. Raises UserError for what a user can mend, before training starts."""
    from pytorch_lightning import seed_everything
    from pytorch_lightning.callbacks import ModelCheckpoint

    from teacher.checkpoint import require_crops_of, save_weights
    from teacher.margin.fit import crops_seen, ear_data, margin_module

    output_dir, options = Path(config.output_dir) / config.experiment_name, config.trainer
    sets = {"train_metadata": config.train_metadata, "val_metadata": config.val_metadata}
    record = trained_on(sets, options.seed, config.schedule.learning_rate, config.schedule.batch_size)
    resume = find_resume(options.resume, output_dir, record)
    seed_everything(options.seed, workers=True, verbose=False)
    data = ear_data(
        config.train_metadata,
        config.val_metadata,
        config.crops,
        config.schedule.batch_size,
        config.model.image_size,
        options.num_workers,
        options.seed,
    )
    module = margin_module(
        config.model,
        config.loss,
        config.schedule,
        config.num_collage_samples,
        options.seed,
        pretrained=config.model.pretrained and not resume,
    )
    module.model.crops = crops_seen(data, config.crops)
    require_crops_of(resume, module.model.crops, "train_metadata")
    kept = ModelCheckpoint(output_dir, "{epoch:03d}", every_n_epochs=KEEP_EVERY, save_top_k=-1)
    trainer = build_trainer(
        output_dir,
        epochs=config.schedule.max_epochs,
        monitor="val/psnr",
        mode="max",
        save_best=lambda trained: save_weights(output_dir / "best.ckpt", trained.model, "MarginTeacher"),
        seed=options.seed,
        precision=options.precision,
        devices=options.devices,
        max_minutes=config.schedule.max_minutes,
        gradient_clip=config.schedule.gradient_clip,
        callbacks=[kept],
        trained_on=record,
    )
    write_provenance(output_dir, config)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    write_best_metrics(output_dir, trainer, "val/psnr")
    return output_dir


if __name__ == "__main__":
    run_command(Config, main)
