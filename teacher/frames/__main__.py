"""Train the teacher of frames: `python -m teacher.frames --train-npy scenes/train_frames.npy --val-npy ...`.

A detector on a large network that a million photographs have taught (its weights come with a package:
requirements-pretrained.txt). It is taught on rendered scenes, on a user's boxes, and on boxes that were found
in photographs before (`distill.label_frames`). It is too slow to ship; a student detector learns from what it
finds. Writes `best.ckpt` (what later stages take), `last.ckpt` (to resume), the three best checkpoints,
`metrics.csv`, `metrics.json` and `tensorboard/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from configs.command import run_command
from configs.groups import Flat
from configs.provenance import write_provenance
from data.augmentation import FrameConfig
from teacher.frames.options import MachineOptions, ScheduleOptions
from teacher.training.resume import find_resume, trained_on
from teacher.training.trainer import build_trainer, write_best_metrics

ROUNDS = 8  # validations and checkpoints in a training


@dataclass(frozen=True)
class Config:
    """Train a detector on a pretrained network, as a teacher of the student detector."""

    train_npy: tuple[Path, ...]
    """Manifests of photographs with boxes; each brings its share of every step, however long it is."""
    val_npy: Path
    """Held-out frames with ears."""
    output_dir: Path = Path("runs/frame_teacher")
    """Where everything is written."""
    init_checkpoint: Path | None = None
    """Start from the weights of an earlier one's best.ckpt."""
    backbone: str = "efficientnet_lite0"
    """The network it stands on, one with maps at strides 8, 16 and 32."""
    freeze_layers: int | None = None
    """Stages of it that are not trained, from the input on; None: all."""
    frame: FrameConfig = field(default_factory=lambda: FrameConfig(chips=0.95, chip_px=160, rotate_deg=30.0))
    """How frames are moved."""
    schedule: Flat[ScheduleOptions] = field(default_factory=ScheduleOptions)
    """Length and optimizer"""
    machine: Flat[MachineOptions] = field(default_factory=MachineOptions)
    """Machine and reproducibility"""


def main(config: Config) -> Path:
    """Train; returns the output folder. Raises UserError for what a user can mend, before training starts."""
    from pytorch_lightning import seed_everything

    from teacher.checkpoint import save_weights
    from teacher.frames.fit import first_teacher, frame_data, rounds_done
    from teacher.frames.module import FrameTeacherModule

    output_dir, options, schedule = config.output_dir, config.machine, config.schedule
    sets = {"train_npy": config.train_npy, "val_npy": config.val_npy}
    record = trained_on(sets, options.seed, schedule.lr, schedule.batch_size)
    resume = find_resume(options.resume, output_dir, record)
    seed_everything(options.seed, workers=True, verbose=False)
    model = first_teacher(
        config.backbone, config.freeze_layers, config.init_checkpoint, with_weights=not resume
    )
    steps_a_round = max(1, round(schedule.steps / ROUNDS))
    data = frame_data(
        config.train_npy,
        config.val_npy,
        model.image_px,
        config.frame,
        schedule.batch_size,
        steps_a_round,
        rounds_done(resume, model),
        options.num_workers,
        options.seed,
    )
    module = FrameTeacherModule(model, steps_a_round * ROUNDS, schedule.lr)
    trainer = build_trainer(
        output_dir,
        epochs=ROUNDS,
        monitor="val/ap",
        mode="max",
        save_best=lambda trained: save_weights(output_dir / "best.ckpt", trained.best_model, "FrameTeacher"),
        seed=options.seed,
        deals_batches=True,
        trained_on=record,
    )
    write_provenance(output_dir, config)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    write_best_metrics(output_dir, trainer, "val/ap")
    return output_dir


if __name__ == "__main__":
    run_command(Config, main)
