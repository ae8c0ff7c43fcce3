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
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from configs.command import run_command
from configs.errors import UserError
from configs.groups import Flat, Gone, Removed, Renamed
from configs.provenance import write_provenance
from distill.student.options import (
    GRADIENT_CLIP,
    AugmentationOptions,
    BatchOptions,
    DistillationOptions,
    LabelOptions,
    MapLossOptions,
    OptimizationOptions,
    TrainerOptions,
    require_at_least,
)
from distill.student.plan import plan_steps, print_plan

if TYPE_CHECKING:
    from distill.student.data import TrainingData


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
    num_nodes: int = 1
    """Machines that share each batch: docs/cluster.md."""

    labels: Flat[LabelOptions] = field(default_factory=LabelOptions)
    distillation: Flat[DistillationOptions] = field(default_factory=DistillationOptions)
    map_loss: Flat[MapLossOptions] = field(default_factory=MapLossOptions)
    batch: Flat[BatchOptions] = field(default_factory=BatchOptions)
    optimization: Flat[OptimizationOptions] = field(default_factory=OptimizationOptions)
    augmentation: Flat[AugmentationOptions] = field(default_factory=AugmentationOptions)
    trainer: Flat[TrainerOptions] = field(default_factory=TrainerOptions)
    GONE: ClassVar[Mapping[str, Gone]] = {
        "more_train_npy": Renamed("train_npy", joins=True),
        "scheme": Removed("the manifest says it: data.prepare --scheme"),
    }

    def __post_init__(self) -> None:
        """Raise UserError for what does not go together."""
        require_at_least(self.trainer, 1, "devices")
        require_at_least(self, 1, "num_nodes")
        if self.distillation.pseudo_labelled_npy is not None and self.student == "landmarker":
            raise UserError(
                "pseudo_labelled_npy: of frames, for the detector. The landmarker takes predicted points "
                "with the kept maps: distill.cache --ear-detector."
            )

    @property
    def processes(self) -> int:
        """Among which a batch is dealt out."""
        return self.trainer.devices * self.num_nodes


def main(config: Config) -> Path:
    """Train; returns the output folder. Raises UserError for what a user can mend, before training starts."""
    from pytorch_lightning import seed_everything
    from pytorch_lightning.utilities import rank_zero_only

    from distill.student.data import shared_crops
    from distill.student.fit import build_module, first_student, resume_point
    from distill.student.loader import StepData
    from distill.student.map_losses import check_loss_weights
    from distill.student.module import training_kind
    from distill.student.results import MONITOR, write_results
    from students.models.checkpoint import save_student
    from teacher.training.trainer import build_trainer

    distillation, trainer_options, output_dir = config.distillation, config.trainer, config.output_dir
    if distillation.distill:
        check_loss_weights(config.map_loss.loss_weights)
    seed_everything(trainer_options.seed, workers=True, verbose=False)
    crops = shared_crops(
        [
            *config.train_npy,
            config.labels.labelled_npy,
            config.labels.val_npy,
            distillation.pseudo_labelled_npy,
        ]
    )
    student = first_student(  # first: the twin draws the same weights
        config.student, config.student_options, config.init_checkpoint, crops
    )
    data = training_data(config, student.image_px)
    rounds, steps_per_round = plan_steps(config.optimization.steps, config.optimization.rounds)
    steps = rounds * steps_per_round
    wanted = training_kind(student, data.kept is not None, steps)
    resume, first_round = resume_point(trainer_options.resume, output_dir, wanted)
    if rank_zero_only.rank == 0:
        wants_points = distillation.distill and distillation.prediction_weight > 0
        layer = None if data.kept is None else data.kept.layer
        print_plan(
            config.student,
            data.facts,
            layer,
            data.mix,
            steps,
            wants_points and config.student == "landmarker",
        )
    module = build_module(
        student, data.kept, steps, config.optimization, config.map_loss, distillation.prediction_weight
    )
    monitor, mode = MONITOR[config.student]
    trainer = build_trainer(
        output_dir,
        epochs=rounds,
        monitor=monitor,
        mode=mode,
        save_best=lambda trained: save_student(output_dir / "student.pt", trained.best_student, crops),
        seed=trainer_options.seed,
        precision=trainer_options.precision,
        gradient_clip=GRADIENT_CLIP,
        devices=trainer_options.devices,
        num_nodes=config.num_nodes,
        deals_batches=True,
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


def training_data(config: Config, image_px: int) -> TrainingData:
    """What a student that takes images of image_px is trained on. Raises UserError as its builders do."""
    from distill.student.detector_data import detector_data
    from distill.student.landmarker_data import landmarker_data

    common = {
        "train_npy": config.train_npy,
        "image_px": image_px,
        "labels": config.labels,
        "distillation": config.distillation,
        "batch": config.batch,
        "augmentation": config.augmentation,
        "processes": config.processes,
        "num_workers": config.trainer.num_workers,
        "seed": config.trainer.seed,
    }
    if config.student == "detector":
        return detector_data(**common)
    return landmarker_data(**common, map_weight=config.map_loss.map_weight)


def _wants_points(config: Config) -> bool:
    """Whether points that the kept maps may bring are to be trained on."""
    wanted = config.distillation.distill and config.distillation.prediction_weight > 0
    return wanted and config.student == "landmarker"


if __name__ == "__main__":
    run_command(Config, main)
