"""Train a student: `python -m distill.train --student landmarker --train-npy ... --maps ...`.

It is trained on labels, and beside them on points or boxes that another model predicted where there are no
labels, and on the teacher's kept maps. --no-distill trains the twin to compare with: the same weights at the
start, seeds, number of steps, images and augmentation, and the labels alone.

Writes `student.pt` (the best by validation, what later stages take), `last.ckpt` (to resume), the three best
checkpoints, `metrics.csv`, `metrics.json`, `tensorboard/` and `predictions.png`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from configs.command import run_command
from configs.groups import Flat, Gone, Ignored, Removed, Renamed
from configs.provenance import write_provenance
from distill.student.options import (
    GRADIENT_CLIP,
    AugmentationOptions,
    BatchOptions,
    DistillationOptions,
    LabelOptions,
    MapLossOptions,
    OptimizationOptions,
    require_at_least,
)
from distill.student.plan import plan_steps, require_shareable
from teacher.training.options import TrainerOptions
from teacher.training.resume import trained_on
from teacher.training.trainer import build_trainer, nodes


@dataclass(frozen=True)
class Config:
    """Train the landmarker (crops) or the detector (frames), with a teacher's kept maps or without."""

    student: Literal["landmarker", "detector"]
    """Which student."""
    train_npy: tuple[Path, ...]
    """Crops (landmarker) or frames (detector) whose maps were kept: one manifest, or several in the order
    that distill.cache had them. Their landmarks are not read.
    """
    output_dir: Path = Path("runs/student")
    """Where everything is written."""
    init_checkpoint: Path | None = None
    """Start from the weights, and with the sizes, of a student.pt such as students/pretrained/detector.pt."""
    student_options: dict[str, Any] = field(default_factory=dict)
    """Sizes of the student, such as {width: 48, image_px: 128}."""

    labels: Flat[LabelOptions] = field(default_factory=LabelOptions)
    distillation: Flat[DistillationOptions] = field(default_factory=DistillationOptions)
    map_loss: Flat[MapLossOptions] = field(default_factory=MapLossOptions)
    batch: Flat[BatchOptions] = field(default_factory=BatchOptions)
    optimization: Flat[OptimizationOptions] = field(default_factory=OptimizationOptions)
    augmentation: Flat[AugmentationOptions] = field(default_factory=AugmentationOptions)
    trainer: Flat[TrainerOptions] = field(default_factory=TrainerOptions)
    GONE: ClassVar[Mapping[str, Gone]] = {
        "more_train_npy": Renamed("train_npy", joins=True),
        "num_nodes": Ignored("SLURM and torchrun say on how many machines a training runs: docs/cluster.md"),
        "scheme": Removed("it stands in the manifest: data.prepare --scheme"),
    }

    def __post_init__(self) -> None:
        """Raise UserError for what does not go together."""
        require_at_least(self.trainer, 1, "devices")
        require_shareable(self.batch.batch_size, self.trainer.devices * nodes())


def main(config: Config) -> Path:
    """Train; returns the output folder. Raises UserError for what a user can mend, before training starts."""
    from pytorch_lightning import seed_everything
    from pytorch_lightning.utilities import rank_zero_only

    from data.loading.steps import StepData
    from distill.student.data import print_plan, shared_crops
    from distill.student.detector_data import detector_data
    from distill.student.fit import build_module, first_student, learning_rate, resume_point
    from distill.student.landmarker_data import landmarker_data
    from distill.student.map_losses import check_loss_weights
    from distill.student.module import training_kind
    from distill.student.results import MONITOR, write_results
    from students.models.checkpoint import save_student

    distillation, trainer_options, output_dir = config.distillation, config.trainer, config.output_dir
    if distillation.distill:
        check_loss_weights(config.map_loss.loss_weights)
    seed_everything(trainer_options.seed, workers=True, verbose=False)
    labels = config.labels.labelled_npy, config.labels.val_npy, distillation.pseudo_labelled_npy
    not_ears = config.labels.not_ears_npy
    crops = shared_crops([*config.train_npy, *labels, *not_ears])
    student = first_student(  # first: the twin draws the same weights
        config.student, config.student_options, config.init_checkpoint, crops, bool(not_ears)
    )
    build_data = landmarker_data if config.student == "landmarker" else detector_data
    data = build_data(
        config.train_npy,
        student.image_px,
        config.labels,
        distillation,
        config.batch,
        config.augmentation,
        trainer_options.devices * nodes(),
        trainer_options.num_workers,
        trainer_options.seed,
    )
    rounds, steps_per_round = plan_steps(config.optimization.steps, config.optimization.rounds)
    steps = rounds * steps_per_round
    wanted = training_kind(student, data.kept is not None, steps)
    record = trained_on(
        {
            "train_npy": config.train_npy,
            "labelled_npy": config.labels.labelled_npy,
            "val_npy": config.labels.val_npy,
            "pseudo_labelled_npy": distillation.pseudo_labelled_npy,
            "not_ears_npy": not_ears,
        },
        trainer_options.seed,
        learning_rate(config.student, config.optimization),
        config.batch.batch_size,
        data.facts["labels"],
    )
    if data.kept is not None:
        kept = data.kept.settings  # maps made by hand need not say whose they are
        record["maps"] = f"{kept['layer']} of {kept.get('teacher_sha256', 'another teacher')[:12]}"
    resume, first_round = resume_point(trainer_options.resume, output_dir, wanted, record)
    if rank_zero_only.rank == 0:
        print_plan(config.student, data, steps, distillation)
    module = build_module(student, data.kept, steps, config.optimization, distillation, config.map_loss)
    monitor, mode = MONITOR[config.student]
    student_file, crops_of_file = output_dir / "student.pt", crops if config.student == "landmarker" else None
    trainer = build_trainer(
        output_dir,
        epochs=rounds,
        monitor=monitor,
        mode=mode,
        save_best=lambda trained: save_student(student_file, trained.best_model, crops_of_file),
        seed=trainer_options.seed,
        precision=trainer_options.precision,
        gradient_clip=GRADIENT_CLIP,
        devices=trainer_options.devices,
        deals_batches=True,
        trained_on=record,
    )
    write_provenance(output_dir, config)
    batches = StepData(
        data.batches, data.val_loader, steps_per_round, first_round, trainer_options.num_workers
    )
    trainer.fit(module, batches, ckpt_path=resume, weights_only=True)
    if trainer.is_global_zero:
        write_results(
            output_dir,
            config.student,
            config.init_checkpoint,
            distillation.distill,
            data,
            trainer,
            steps,
            crops.scheme,
        )
    return output_dir


if __name__ == "__main__":
    run_command(Config, main)
