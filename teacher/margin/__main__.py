"""Train the margin teacher: `python -m teacher.margin --train-metadata ... --val-metadata ...`.

ConvNeXt-Tiny learns ears without labels: by reconstructing them, and by a margin loss over pseudo-classes
that are clusters of its own embeddings. Writes `best.ckpt` (what later stages take), `last.ckpt` (to
resume), the three best and every fifth checkpoint, `metrics.csv`, `metrics.json`, `tensorboard/` and
`reconstruction_collages/epoch_XXXX.png`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from configs.command import run_command
from configs.errors import UserError
from data.crops import MARGIN

KEEP_EVERY = 5  # epochs


@dataclass
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

    pretrained: bool = True
    """Start from ConvNeXt-Tiny's ImageNet-22k weights."""
    pretrained_path: str = ""
    """Another place of them: a file, a folder in transformers' layout, or a hub name."""
    backbone_options: dict[str, Any] = field(default_factory=dict)
    """Options of convnext_tiny; from scratch {sizes: {depths: [...], dims: [...]}}."""
    embedding_dim: int = 768
    """Of the embedding that the decoder reads and ears are compared by."""
    projection_dim: int = 256
    """Of the projection that the metric loss sees."""
    decoder_channels: tuple[int, ...] = (512, 256, 128, 64, 32, 16)
    """Channels of the decoder from the coarsest grid on."""
    image_size: int = 224
    """Side of the crops, px; a multiple of 32."""
    bbox_buffer: float = MARGIN
    """Border around the box, as a fraction of its longer side."""
    augment: bool = True
    """Move, light, blur and hide parts of the crops it sees."""

    reconstruction_weight: float = 1.0
    """Weight of the mean squared error of the reconstruction."""
    metric_weight: float = 0.1
    """Weight of the metric loss."""
    metric_loss: Literal["arcface", "cosface", "none"] = "arcface"
    """How pseudo-classes are told apart."""
    arcface_margin: float = 0.5
    """Margin: of arcface in radians, of cosface in cosines."""
    arcface_scale: float = 64.0
    """Scale of the cosines."""
    num_pseudo_classes: int = 512
    """How many; fewer where each would have less than two ears."""
    pseudo_classes: Literal["clustered", "random"] = "clustered"
    """Clusters of the embeddings, or drawn at random, to compare with."""
    renew_epochs: int = 2
    """After how many epochs clusters are made anew."""

    max_epochs: int = 100
    """Passes over the training ears."""
    max_minutes: float = 0.0
    """Stop cleanly after so many minutes, those before a resume included. 0: no limit."""
    warmup_epochs: int = 5
    """Epochs over which the learning rate rises."""
    learning_rate: float = 1e-4
    """Highest learning rate (AdamW, warm-up, cosine)."""
    weight_decay: float = 0.05
    """Of matrices and kernels."""
    batch_size: int = 32
    """Crops a step and device."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0: not clipped."""
    num_collage_samples: int = 8
    """Ears in a collage (originals above, reconstructions below); 0: no collages."""
    precision: str = "32"
    """32, bf16-mixed, 16-mixed, bf16-true or 64."""
    devices: int = 1
    """GPUs (or processes on the CPU) to train on."""
    num_workers: int = 2
    """Processes that load crops."""
    seed: int = 0
    """Seed of weights, order, augmentation and clustering."""
    resume: str = ""
    """Checkpoint to continue, or auto: last.ckpt of the output folder if there."""

    def __post_init__(self) -> None:
        """Raise UserError for numbers that make no sense."""
        for name in ("max_epochs", "batch_size", "num_pseudo_classes", "renew_epochs", "projection_dim"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: at least 1 is needed")
        for name in ("reconstruction_weight", "metric_weight", "bbox_buffer", "warmup_epochs"):
            if getattr(self, name) < 0:
                raise UserError(f"{name}={getattr(self, name)}: 0 or more is needed")


def main(config: Config) -> Path:
    """Train; returns the output folder. Raises UserError for what a user can mend, before training starts."""
    from pytorch_lightning import seed_everything
    from pytorch_lightning.callbacks import ModelCheckpoint

    from configs.provenance import write_provenance
    from teacher.checkpoint import save_weights
    from teacher.training.trainer import build_trainer, find_resume, write_best_metrics

    output_dir = Path(config.output_dir) / config.experiment_name
    resume = find_resume(config.resume, output_dir)
    seed_everything(config.seed, workers=True, verbose=False)
    data = _data(config)
    module = _module(config, pretrained=config.pretrained and not resume)
    kept = ModelCheckpoint(output_dir, "{epoch:03d}", every_n_epochs=KEEP_EVERY, save_top_k=-1)
    trainer = build_trainer(
        output_dir,
        epochs=config.max_epochs,
        monitor="val/psnr",
        mode="max",
        save_best=lambda trained: save_weights(output_dir / "best.ckpt", trained.model, "MarginTeacher"),
        seed=config.seed,
        precision=config.precision,
        devices=config.devices,
        max_minutes=config.max_minutes,
        gradient_clip=config.gradient_clip,
        callbacks=[kept],
    )
    write_provenance(output_dir, config)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    write_best_metrics(output_dir, trainer, "val/psnr")
    return output_dir


def _data(config: Config) -> Any:
    from data.augmentation import GeometryConfig, PhotometryConfig
    from data.loading.datamodule import EarDataModule

    data = EarDataModule(
        train_npy=config.train_metadata,
        val_npy=config.val_metadata,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        out_px=config.image_size,
        margin=config.bbox_buffer,
        geometry=GeometryConfig() if config.augment else None,
        photometry=PhotometryConfig() if config.augment else None,
        seed=config.seed,
    )
    data.setup("fit")
    return data


def _module(config: Config, pretrained: bool) -> Any:
    import inspect

    from teacher.margin.module import EarTeacherLightningModule

    names = inspect.signature(EarTeacherLightningModule).parameters
    given = {name: getattr(config, name) for name in names}
    given |= {"pretrained": pretrained, "pretrained_path": config.pretrained_path or None}
    return EarTeacherLightningModule(**given)


if __name__ == "__main__":
    run_command(Config, main)
