"""Fine-tune EarDetector on labelled ears: `python -m teacher.finetune --checkpoint ... --train-npy ...
--val-npy ...`.

Writes `best.ckpt` (weights of the best validation NME, what later stages take), `last.ckpt` (to resume),
the three best checkpoints, `metrics.csv`, `metrics.json` (held-out landmark errors of best.ckpt),
`tensorboard/` and `predictions.png`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command import run_command
from configs.errors import UserError
from data.augmentation import GeometryConfig, PhotometryConfig

if TYPE_CHECKING:
    from data.labels import LabelledEars
    from data.landmarks import Scheme
    from teacher.models.detector import EarDetector


@dataclass
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

    labels: float = 0
    """How many of the training ears to use: a count from 1 on, a fraction below 1, 0 for all."""
    unlabelled_npy: Path | None = None
    """Manifest of further ears, whose landmarks are not looked at: they teach by agreement (consistency)."""
    pseudo_labelled_npy: Path | None = None
    """Instead of unlabelled_npy: such ears with the points that a student finds in them (distill.label)."""
    scheme: Path | None = None
    """Landmark description (names, curves, what mirroring swaps); without one, the project's 17 points."""
    from_scratch: bool = False
    """The twin to compare with: the same architecture, none of the checkpoint's weights."""
    freeze_encoder: bool = False
    """Train the head only."""
    decoder_maps: bool = False
    """Also read the decoder's maps."""
    width: int = 64
    """Channels of the head."""
    heatmap_cells: int = 32
    """Cells a side of the heatmaps."""
    stem_channels: int = 32
    """Channels of the head's convolutions on the pixels; 0: none."""

    points_weight: float = 1.0
    """Weight of the landmarks' heatmap loss."""
    edges_weight: float = 0.5
    """Weight of the box's edges."""
    visibility_weight: float = 0.2
    """Weight of visible against hidden."""
    ear_weight: float = 0.2
    """Weight of ear against background; 0 draws no backgrounds."""
    background_share: float = 0.2
    """Of the crops in an epoch, how many show a background."""

    consistency_weight: float = 1.0
    """Weight of finding the points of an ear without labels again in another view of it."""
    consistency_warmup: float = 0.3
    """Part of the training, at its start, over which the averaged network's say in it grows from nothing."""

    epochs: int = 30
    """Passes; see min_steps_per_epoch."""
    steps: int = 0
    """Training steps, rounded up to whole epochs; 0: as many as `epochs` give."""
    min_steps_per_epoch: int = 50
    """Few labels are drawn several times an epoch, in new views, until there are so many steps."""
    max_minutes: float = 0.0
    """Stop cleanly after so many minutes, those before a resume included. 0: no limit."""
    batch_size: int = 32
    """Crops a step and device."""
    lr: float = 2e-3
    """Highest learning rate of the head (AdamW, warm-up, cosine)."""
    encoder_lr_scale: float = 0.3
    """The encoder's learning rate over the head's; from scratch it is 1."""
    weight_decay: float = 0.05
    """Of matrices and kernels."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises."""
    ema_decay: float = 0.0
    """Of the averaged weights, which are validated and saved, and which teach the ears without labels; 0:
    none.
    """
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0: not clipped."""
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    """Augmentation that moves pixels; points and box follow."""
    photometry: PhotometryConfig = field(default_factory=PhotometryConfig)
    """Augmentation of light, noise, blur, occlusion."""
    precision: str = "32"
    """32, bf16-mixed, 16-mixed, bf16-true or 64."""
    devices: int = 1
    """GPUs (or processes on the CPU) to train on."""
    num_workers: int = 2
    """Processes that load crops."""
    seed: int = 0
    """Seed of the head's weights, the choice of labels, order and augmentation."""
    resume: str = ""
    """Checkpoint to continue exactly, or auto: last.ckpt of the output folder if there."""

    def __post_init__(self) -> None:
        """Raise UserError for numbers that make no sense."""
        if self.labels < 0 or (self.labels > 1 and self.labels != int(self.labels)):
            raise UserError(
                f"labels={self.labels}: give a count (300), a fraction below 1 (0.1), or 0 for all"
            )
        if not 0 <= self.background_share < 1:
            raise UserError(
                f"background_share={self.background_share}: a share from 0 up to, not including, 1"
            )
        if self.from_scratch and self.freeze_encoder:
            raise UserError(
                "from_scratch with freeze_encoder would keep an encoder of random weights: drop one"
            )
        if self.unlabelled_npy is not None and self.pseudo_labelled_npy is not None:
            raise UserError(
                "unlabelled_npy and pseudo_labelled_npy: the same ears with and without; give one"
            )
        if self.has_unlabelled and not self.ema_decay:
            raise UserError(
                "ears without labels are taught by averaged weights: give ema_decay, 0.99 for example"
            )
        for name in ("epochs", "batch_size", "width", "heatmap_cells"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: at least 1 is needed")

    @property
    def has_unlabelled(self) -> bool:
        """Whether ears without labels take part."""
        return self.unlabelled_npy is not None or self.pseudo_labelled_npy is not None


def main(config: Config) -> Path:
    """Train; returns the output folder. Raises UserError for what a user can mend, before training starts."""
    from pytorch_lightning import seed_everything

    from configs.provenance import write_provenance
    from data.labels import choose_labels
    from data.landmarks import load_scheme
    from data.loading.datamodule import ear_loader
    from teacher.checkpoint import save_weights
    from teacher.detector_training.data import labelled_views
    from teacher.detector_training.module import Consistency, EarDetectorModule, loss_weights
    from teacher.detector_training.unlabelled import with_unlabelled
    from teacher.training.trainer import build_trainer, find_resume

    output_dir = Path(config.output_dir)
    resume = find_resume(config.resume, output_dir)
    seed_everything(config.seed, workers=True, verbose=False)
    scheme = load_scheme(config.scheme)
    labelled = choose_labels(config.train_npy, config.val_npy, config.labels, len(scheme), config.seed)
    print(f"{len(labelled.train)} labelled ears, judged on {labelled.held_out_from}", flush=True)
    model = _build_model(config, len(scheme))
    train, val = labelled_views(config, labelled, model.image_size, scheme)
    if config.has_unlabelled:
        train = with_unlabelled(config, train, model.image_size, len(scheme))
    train_loader = ear_loader(train, config.batch_size, config.num_workers, config.seed, train=True)
    val_loader = ear_loader(val, config.batch_size, config.num_workers, config.seed, train=False)
    epochs = -(-config.steps // len(train_loader)) if config.steps else config.epochs
    module = EarDetectorModule(
        model,
        loss_weights(config),
        config.lr,
        1.0 if config.from_scratch else config.encoder_lr_scale,
        config.warmup_steps,
        config.ema_decay,
        Consistency(config.consistency_weight, config.consistency_warmup, tuple(scheme.flip))
        if config.has_unlabelled
        else None,
    )
    trainer = build_trainer(
        output_dir,
        epochs=epochs,
        monitor="val/nme",
        mode="min",
        save_best=lambda trained: save_weights(output_dir / "best.ckpt", trained.best_model, "EarDetector"),
        seed=config.seed,
        precision=config.precision,
        devices=config.devices,
        max_minutes=config.max_minutes,
        gradient_clip=config.gradient_clip,
    )
    write_provenance(output_dir, config)
    trainer.fit(module, train_loader, val_loader, ckpt_path=resume, weights_only=True)
    if trainer.is_global_zero:
        _judge_best(output_dir, val_loader, labelled, scheme)
    return output_dir


def _build_model(config: Config, num_landmarks: int) -> EarDetector:
    from teacher.checkpoint import read_checkpoint
    from teacher.models.detector import EarDetector

    if read_checkpoint(config.checkpoint)["hyper_parameters"]["kind"] == "EarDetector":
        return _taught_before(config, num_landmarks)
    build = EarDetector.from_scratch if config.from_scratch else EarDetector.from_vae_checkpoint
    return build(
        config.checkpoint,
        num_landmarks=num_landmarks,
        freeze_encoder=config.freeze_encoder,
        decoder_maps=config.decoder_maps,
        width=config.width,
        heatmap_cells=config.heatmap_cells,
        stem_channels=config.stem_channels,
    )


def _taught_before(config: Config, num_landmarks: int) -> EarDetector:
    """An EarDetector that goes on learning. Raises UserError for another number of points."""
    from teacher.models.detector import EarDetector

    if config.from_scratch:
        raise UserError(f"{config.checkpoint}: an EarDetector; from_scratch takes its sizes from an EarVAE.")
    found = EarDetector.load_from_checkpoint(config.checkpoint)
    if found.hparams["num_landmarks"] != num_landmarks:
        raise UserError(
            f"{config.checkpoint}: reads {found.hparams['num_landmarks']} points, the ears here have "
            f"{num_landmarks}. Start from an EarVAE instead."
        )
    model = EarDetector(**{**found.hparams, "freeze_encoder": config.freeze_encoder})
    model.load_state_dict(found.state_dict())
    return model


def _judge_best(output_dir: Path, val_loader: Any, labelled: LabelledEars, scheme: Scheme) -> None:
    """`metrics.json` and `predictions.png` of best.ckpt on the held-out ears."""
    from configs.files import write_json
    from data.draw import write_picture
    from teacher.detector_training.report import detector_report, predict_all, predictions_picture
    from teacher.models.detector import EarDetector

    model = EarDetector.load_from_checkpoint(output_dir / "best.ckpt")
    report = detector_report(predict_all(model, val_loader), scheme.names)
    report |= {
        "labels": len(labelled.train),
        "held_out": len(labelled.held_out),
        "held_out_from": labelled.held_out_from,
    }
    write_json(output_dir / "metrics.json", report)
    write_picture(output_dir / "predictions.png", predictions_picture(model, val_loader.dataset.ears, scheme))


if __name__ == "__main__":
    run_command(Config, main)
