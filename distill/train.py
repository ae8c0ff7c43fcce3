"""Train a student: `python -m distill.train --student landmarker --train-npy ... --maps ...`.

The labels teach the task. Points that an EarDetector predicted, if they were admitted, teach on everything
else, and the teacher's kept maps on all of it; maps alone teach beside the labels, not in their place.
--no-distill trains the twin to compare with: the same weights at the start, seeds, number of steps, images
and augmentation, and the labels alone.

Writes `student.pt` (the best by validation, what later stages take), `last.ckpt` (to resume), the three best
checkpoints, `metrics.csv`, `metrics.json`, `tensorboard/` and `predictions.png`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from configs.command import run_command
from configs.errors import UserError
from data.augmentation import FrameConfig, GeometryConfig, PhotometryConfig

if TYPE_CHECKING:
    from distill.student.data import TrainingData
    from distill.student.map_matching import MapMatcher
    from distill.student.module import StudentModule
    from distill.student.soft_heatmaps import HeatmapMatcher
    from distill.teacher_maps.store import KeptMaps

LEARNING_RATE = {"landmarker": 2e-2, "detector": 5e-3}  # docs/experiments.md
MONITOR = {"landmarker": ("val/nme", "min"), "detector": ("val/ap", "max")}


@dataclass
class Config:
    """Train the landmarker (crops) or the detector (frames), with a teacher's kept maps or without."""

    student: Literal["landmarker", "detector"]
    """Which student."""
    train_npy: Path
    """Crops (landmarker) or frames (detector) whose maps are kept; their landmarks are not looked at."""
    more_train_npy: tuple[Path, ...] = ()
    """Further manifests, joined to the first in the order that distill.cache was given."""
    labelled_npy: Path | None = None
    """The labelled ones. Landmarker: with landmarks, needed. Detector: none means the boxes of train_npy."""
    labels: float = 0
    """How many labels to use, ears or frames: a count from 1 on, a fraction below 1, 0 for all."""
    val_npy: Path | None = None
    """Held-out labelled ones; for the landmarker, without one, a part of the labelled is held out."""
    output_dir: Path = Path("runs/student")
    """Where everything is written."""

    distill: bool = True
    """Learn from the teacher; --no-distill for the twin."""
    maps: Path | None = None
    """Kept maps of the crops (landmarker)."""
    frame_maps: Path | None = None
    """Kept maps of the ears of the frames (detector)."""
    pseudo_labelled_npy: Path | None = None
    """Frames with the boxes that another detector found in them (distill.label_frames): the detector learns
    from those too, and needs no frame_maps then.
    """
    sure_from: float = 0.5
    """Score from which on such a box is an ear; below, it is neither ear nor background."""
    map_weight: float = 1.0
    """Weight of the map loss beside the label loss."""
    loss_weights: dict[str, float] = field(default_factory=lambda: {"cosine": 0.9, "smooth_l1": 0.1})
    """What the map loss is made of: cosine, smooth_l1, mse, pearson, relation_locations, relation_samples,
    masked. Kept heatmaps have a loss of their own, the Kullback-Leibler divergence.
    """
    normalise: Literal["channel", "isotropic", "none"] = "channel"
    """How the teacher's maps are brought to one scale before they are matched: each channel by its own
    deviation, all by one, or not at all.
    """
    masked_share: float = 0.5
    """Of the locations hidden in the masked loss."""
    fade: float = 0.3
    """Part of the training, at its end, over which the map loss fades to nothing."""
    prediction_weight: float = 1.0
    """Weight of predicted points (landmarker) or boxes (detector) beside labelled ones, whatever their share
    of a batch; 0 leaves them out. More than 1 pays where the labeller errs far less than the twin, or the
    training is short; less than 1 where it errs as much.
    """
    agreement_limit: float = 0.05
    """Where the labeller and its mirror image differ by this part of the crop, its point counts nothing."""

    init_checkpoint: Path | None = None
    """Start from the weights, and with the sizes, of a student.pt such as students/pretrained/detector.pt."""
    student_options: dict[str, Any] = field(default_factory=dict)
    """Sizes of the student, such as {width: 48, image_px: 128}."""
    steps: int = 3000
    """Training steps; rounded to whole rounds."""
    epochs: float = 0
    """Instead of steps: passes over train_npy."""
    rounds: int = 10
    """Validations and checkpoints in the training."""
    batch_size: int = 64
    """Images a step, of all devices together. The twin has as many, all of them labelled."""
    labelled_share: float = 0.5
    """Of a batch, where others teach points or boxes: where they only have maps, all of it is labelled, and
    maps teach beside the labels. Where the landmarker's labelled crops are some of train_npy's, it is at
    least as large as their part of them.
    """
    labelled_last: float = 0.0
    """Part of the training, at its end, whose batches are labelled alone, as the twin's are throughout."""
    lr: float | None = None
    """Highest learning rate (AdamW, warm-up, cosine); None: 2e-2 (landmarker) or 5e-3 (detector)."""
    weight_decay: float = 0.05
    """Of matrices and kernels."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises."""
    ema_decay: float = 0.998
    """Of the averaged weights, which are validated and saved; 0: none."""
    gradient_clip: float = 5.0
    """Largest norm of the gradient; 0: not clipped."""
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    """How crops are moved; what was kept of the teacher follows."""
    photometry: PhotometryConfig = field(default_factory=PhotometryConfig)
    """Light, noise, blur, occlusion: of what the student sees, never of what the teacher saw."""
    frame: FrameConfig = field(default_factory=FrameConfig)
    """How frames are moved."""
    scheme: Path | None = None
    """Landmark description (names, curves, what mirroring swaps); without one, the project's 17 points."""
    precision: str = "32"
    """32, or bf16-mixed, which is faster where the processor multiplies bf16."""
    devices: int = 1
    """GPUs (or processes on the CPU) that share each batch, on each node."""
    num_nodes: int = 1
    """Machines that share each batch: docs/cluster.md."""
    num_workers: int = 2
    """Processes that load images."""
    seed: int = 0
    """Seed of weights, choice of labels, order and augmentation."""
    resume: str = ""
    """Checkpoint to continue exactly, or auto: last.ckpt of the output folder if there."""

    def __post_init__(self) -> None:
        """Raise UserError for numbers that make no sense."""
        if self.labels < 0 or (self.labels > 1 and self.labels != int(self.labels)):
            raise UserError(f"labels={self.labels}: give a count (300), a fraction (0.1), or 0 for all.")
        for name, least in (("batch_size", 2), ("rounds", 1), ("steps", 1), ("devices", 1), ("num_nodes", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name}={getattr(self, name)}: at least {least} is needed.")
        if self.pseudo_labelled_npy is not None and self.student == "landmarker":
            raise UserError(
                "pseudo_labelled_npy: of frames, for the detector. The landmarker takes predicted points "
                "with the kept maps: distill.cache --ear-detector."
            )
        if self.batch_size % self.processes or self.batch_size < 2 * self.processes:
            raise UserError(
                f"batch_size={self.batch_size}: {self.processes} processes share a batch; a multiple of "
                f"{self.processes} from {2 * self.processes} on is needed."
            )
        for name in ("labelled_share", "labelled_last", "fade", "masked_share", "ema_decay", "sure_from"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name}={getattr(self, name)}: a number from 0 to 1 is needed.")
        for name in ("map_weight", "prediction_weight", "epochs", "agreement_limit"):
            if getattr(self, name) < 0:
                raise UserError(f"{name}={getattr(self, name)}: 0 or more is needed.")

    @property
    def processes(self) -> int:
        """Among which a batch is dealt out."""
        return self.devices * self.num_nodes


def main(config: Config) -> Path:
    """Train; returns the output folder. Raises UserError for what a user can mend, before training starts."""
    from pytorch_lightning import seed_everything
    from pytorch_lightning.utilities import rank_zero_only

    from configs.provenance import write_provenance
    from distill.student.data import build_detector_material, build_landmarker_material, plan_steps
    from distill.student.loader import StepData
    from distill.student.map_losses import check_loss_weights
    from distill.student.module import training_kind
    from distill.student.results import write_results
    from students.models.checkpoint import save_student
    from teacher.training.trainer import build_trainer

    if config.distill:
        check_loss_weights(config.loss_weights)
    seed_everything(config.seed, workers=True, verbose=False)
    student = _start(config)  # first: the twin draws the same weights
    build = build_landmarker_material if config.student == "landmarker" else build_detector_material
    material = build(config, student.image_px)
    rounds, steps_per_round = plan_steps(config, material.examples)
    steps = rounds * steps_per_round
    resume, first_round = _find_resume(config, training_kind(student, material.kept is not None, steps))
    if rank_zero_only.rank == 0:
        _print_plan(config, material, steps)
    module = build_module(config, student, material.kept, steps)
    monitor, mode = MONITOR[config.student]
    trainer = build_trainer(
        config.output_dir,
        epochs=rounds,
        monitor=monitor,
        mode=mode,
        save_best=lambda trained: save_student(config.output_dir / "student.pt", trained.best_student),
        seed=config.seed,
        precision=config.precision,
        gradient_clip=config.gradient_clip,
        devices=config.devices,
        num_nodes=config.num_nodes,
        deals_batches=True,
    )
    write_provenance(config.output_dir, config)
    data = StepData(material.batches, material.val_loader, steps_per_round, first_round, config.num_workers)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    if trainer.is_global_zero:
        write_results(config, material, trainer, steps, monitor, mode)
    return config.output_dir


def _start(config: Config) -> Any:
    """The student before its first step. Raises UserError where init_checkpoint is of other sizes."""
    from data.landmarks import load_scheme
    from students.models.checkpoint import build_student, load_student

    options = dict(config.student_options)
    if config.student == "landmarker":
        options.setdefault("num_landmarks", len(load_scheme(config.scheme)))
    if config.init_checkpoint is None:
        return build_student(config.student, options)
    student = load_student(config.init_checkpoint, config.student).train()
    for name, wanted in options.items():
        if student.hparams.get(name, wanted) != wanted:
            raise UserError(
                f"{config.init_checkpoint}: its {name} is {student.hparams[name]}, wanted is {wanted}. "
                "Leave out init_checkpoint, or the option (for num_landmarks: the scheme)."
            )
    return student


def build_module(config: Config, student: Any, kept: KeptMaps | None, steps: int) -> StudentModule:
    """The Lightning module of a student, with a matcher for kept maps or without."""
    from distill.student.module import DetectorModule, LandmarkerModule

    module_class = LandmarkerModule if config.student == "landmarker" else DetectorModule
    return module_class(
        student,
        _matcher(config, student.channels, kept),
        steps,
        lr=LEARNING_RATE[config.student] if config.lr is None else config.lr,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_steps,
        map_weight=config.map_weight,
        prediction_weight=config.prediction_weight,
        fade=config.fade,
        ema_decay=config.ema_decay,
    )


def _matcher(config: Config, channels: int, kept: KeptMaps | None) -> MapMatcher | HeatmapMatcher | None:
    import torch

    from distill.student.map_losses import centre_and_scale
    from distill.student.map_matching import MapMatcher
    from distill.student.soft_heatmaps import HeatmapMatcher
    from distill.teacher_maps.frozen_teacher import HEATMAPS

    if kept is None:
        return None
    if kept.layer == HEATMAPS:
        if config.student == "detector":
            raise UserError(f"{config.frame_maps}: keeps {HEATMAPS}, and a detector has none. Keep fused.")
        return HeatmapMatcher()
    mean, std = centre_and_scale(config.normalise, torch.from_numpy(kept.mean), torch.from_numpy(kept.std))
    return MapMatcher(channels, mean, std, kept.grid, config.loss_weights, config.masked_share)


def _find_resume(config: Config, wanted: dict[str, Any]) -> tuple[Path | None, int]:
    """The checkpoint to go on from and its finished rounds. Raises UserError when it is of another than the
    wanted kind of training.
    """
    import torch

    if not config.resume:
        return None, 0
    path = config.output_dir / "last.ckpt" if config.resume == "auto" else Path(config.resume)
    if not path.is_file():
        if config.resume == "auto":
            return None, 0
        raise UserError(f"{path}: no such checkpoint; give last.ckpt of an earlier training, or auto.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises classes that share no base but Exception
        raise UserError(f"{path}: cannot be read as a checkpoint ({type(error).__name__}).") from None
    found = content.get("hyper_parameters") if isinstance(content, dict) else None
    if found != wanted:
        raise UserError(f"{path}: of another training: {found} there, {wanted} here. Leave out --resume.")
    return path, int(content["epoch"]) + 1


def _print_plan(config: Config, material: TrainingData, steps: int) -> None:
    facts = material.facts
    taught = [] if material.kept is None else [f"maps of {material.kept.layer}"]
    taught += [f"{facts['told']} frames labelled by a detector"] if "told" in facts else []
    teaching = " and ".join(taught) or "labels alone (the twin)"
    print(
        f"{config.student}: {facts['labels']} labelled, {facts['held_out']} held out, {teaching}; "
        f"{steps:,} steps, {steps * config.batch_size:,} images",
        flush=True,
    )
    share = facts.get("trusted_share")
    if share is not None:
        print(f"predicted points: {share:.1%} of them are trusted and used", flush=True)
    elif config.student == "landmarker" and config.distill and config.prediction_weight > 0:
        print("predicted points: none are kept with these maps", flush=True)


if __name__ == "__main__":
    run_command(Config, main)
