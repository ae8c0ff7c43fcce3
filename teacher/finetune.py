"""Fine-tune EarDetector on labelled ears: `python -m teacher.finetune --checkpoint ... --train-npy ...
--val-npy ...`.

Writes `best.ckpt` (weights of the best validation NME, what later stages take), `last.ckpt` (to resume),
the three best checkpoints, `metrics.csv`, `metrics.json` (held-out landmark errors of best.ckpt),
`tensorboard/` and `predictions.png`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from configs.command import run_command
from configs.errors import UserError
from configs.groups import Fixed, Flat, Gone, Removed
from configs.provenance import write_provenance
from teacher.detector_training.options import FineTuningOptions, LabelOptions, ModelOptions, ViewOptions
from teacher.training.options import TrainerOptions
from teacher.training.resume import find_resume, trained_on
from teacher.training.trainer import build_trainer

_LOSS_WEIGHTS = {"points_weight": 1.0, "edges_weight": 0.5, "visibility_weight": 0.2, "ear_weight": 0.2}


@dataclass(frozen=True)
class Config:
    """Fine-tune a box and landmark reader on a trained SAM-VAE; needs a few labelled ears."""

    checkpoint: Path
    """The trained EarVAE (best.ckpt of teacher.train), or an EarDetector that is to go on learning on other
    ears, from rendered ones to your own for example; its sizes are then its own.
    """
    train_npy: Path
    """Manifest of labelled ears to train on (image_paths, bboxes, landmarks, visibility)."""
    val_npy: Path | None = None
    """Manifest of held-out labelled ears; without one, a part of the training ears is held out."""
    output_dir: Path = Path("runs/ear_detector")
    """Where everything is written."""
    epochs: int = 30
    """Passes; see min_steps_per_epoch."""
    steps: int = 0
    """Training steps, rounded up to whole epochs; 0: as many as `epochs` give."""
    min_steps_per_epoch: int = 50
    """Few labels are drawn several times an epoch, in new views, until there are so many steps."""
    batch_size: int = 32
    """Crops a step and device."""
    ears: Flat[LabelOptions] = field(default_factory=LabelOptions)
    """Labels, and ears without them"""
    model: Flat[ModelOptions] = field(default_factory=ModelOptions)
    """Model"""
    optimizer: Flat[FineTuningOptions] = field(default_factory=FineTuningOptions)
    """Optimizer"""
    views: Flat[ViewOptions] = field(default_factory=ViewOptions)
    """Augmentation"""
    trainer: Flat[TrainerOptions] = field(default_factory=TrainerOptions)
    """Machine and reproducibility"""

    GONE: ClassVar[Mapping[str, Gone]] = {
        **{name: Fixed(value, "no training needed another") for name, value in _LOSS_WEIGHTS.items()},
        "background_share": Fixed(0.2, "enough to tell ears from backgrounds"),
        "consistency_weight": Fixed(1.0, "no training needed another"),
        "consistency_warmup": Fixed(0.3, "no training needed another"),
        "max_minutes": Fixed(0.0, "a fine-tuning is as long as its steps"),
        "scheme": Removed("the manifest says what its points are: data.prepare --scheme"),
    }

    def __post_init__(self) -> None:
        """Raise UserError for numbers that make no sense."""
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: at least 1 is needed")
        if self.ears.has_unlabelled and not self.optimizer.ema_decay:
            raise UserError(
                "ears without labels learn from averaged weights: give ema_decay, 0.99 for example"
            )


def main(config: Config) -> Path:
    """Train; returns the output folder. Raises UserError for what a user can mend, before training starts."""
    from pytorch_lightning import seed_everything

    from data.loading.datamodule import ear_loader
    from teacher.checkpoint import require_crops_of, save_weights
    from teacher.detector_training import fit

    output_dir, options = Path(config.output_dir), config.trainer
    seed_everything(options.seed, workers=True, verbose=False)
    ears = fit.read_ears(config.train_npy, config.val_npy, config.ears.labels, options.seed)
    sets = {
        "train_npy": config.train_npy,
        "val_npy": config.val_npy,
        "unlabelled_npy": config.ears.unlabelled_npy,
        "pseudo_labelled_npy": config.ears.pseudo_labelled_npy,
    }
    record = trained_on(sets, options.seed, config.optimizer.lr, config.batch_size, len(ears.train))
    resume = find_resume(options.resume, output_dir, record)
    print(f"{len(ears.train)} labelled ears, judged on {ears.held_out_from}", flush=True)
    model = fit.build_detector(config.checkpoint, config.model, ears.train.crops, f"{config.train_npy}")
    require_crops_of(resume, ears.train.crops, f"{config.train_npy}", with_points=True)
    least_views = config.min_steps_per_epoch * config.batch_size
    train, val = fit.training_ears(
        ears, config.ears, config.views, model.image_size, least_views, options.seed
    )
    train_loader = ear_loader(train, config.batch_size, options.num_workers, options.seed, train=True)
    val_loader = ear_loader(val, config.batch_size, options.num_workers, options.seed, train=False)
    module = fit.detector_module(
        model, config.optimizer, config.model.from_scratch, config.ears.has_unlabelled
    )
    trainer = build_trainer(
        output_dir,
        epochs=-(-config.steps // len(train_loader)) if config.steps else config.epochs,
        monitor="val/nme",
        mode="min",
        save_best=lambda trained: save_weights(output_dir / "best.ckpt", trained.best_model, "EarDetector"),
        seed=options.seed,
        precision=options.precision,
        devices=options.devices,
        trained_on=record,
    )
    write_provenance(output_dir, config)
    trainer.fit(module, train_loader, val_loader, ckpt_path=resume, weights_only=True)
    if trainer.is_global_zero:
        fit.write_report(output_dir, val_loader, ears, ears.train.crops.scheme)
    return output_dir


if __name__ == "__main__":
    run_command(Config, main)
