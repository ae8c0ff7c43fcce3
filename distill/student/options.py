"""What can be set of a student's training: the groups that `distill.train` puts its Config together from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from configs.errors import UserError
from configs.groups import Fixed, Gone, Removed, Renamed
from data.augmentation import FrameConfig, GeometryConfig, PhotometryConfig
from distill.teacher_maps.options import AGREEMENT_LIMIT
from teacher.training.options import WEIGHT_DECAY

LEARNING_RATE = {  # the best of those tried: docs/experiments/landmarker.md, docs/experiments/detector.md
    "landmarker": 2e-2,
    "detector": 5e-3,
}
GRADIENT_CLIP = 5.0  # largest norm; the teachers, whose learning rates are lower, clip at 1
MASKED_SHARE = 0.5  # of the locations hidden in the masked loss


@dataclass(frozen=True)
class LabelOptions:
    """The labels, and what the student is validated on."""

    labelled_npy: Path | None = None
    """The labelled ones. Landmarker: with landmarks, needed. Detector: none means the boxes of train_npy."""
    labels: float = 0
    """How many labels to use, ears or frames: a count from 1 on, a fraction below 1, 0 for all."""
    val_npy: Path | None = None
    """Held-out labelled ones; for the landmarker, without one, a part of the labelled is held out."""
    not_ears_npy: tuple[Path, ...] = ()
    """Boxes that a detector takes for ears and that are none (distill.hard_negatives): the landmarker learns
    to tell them from ears, and how far off its points may be.
    """

    def __post_init__(self) -> None:
        """Raise UserError for a number of labels that makes no sense."""
        if self.labels < 0 or (self.labels > 1 and self.labels != int(self.labels)):
            raise UserError(f"labels={self.labels}: give a count (300), a fraction (0.1), or 0 for all.")


@dataclass(frozen=True)
class DistillationOptions:
    """What the student gets from other models: kept maps, predicted points or boxes."""

    distill: bool = True
    """Train on what other models give too; --no-distill for the twin, which has the labels alone."""
    maps: Path | None = None
    """Maps kept by distill.cache: of the crops (landmarker), or of the ears of the frames (detector)."""
    pseudo_labelled_npy: Path | None = None
    """Frames with the boxes that were found in them (distill.label_frames), or ears with the points that were
    read (distill.label): the student is trained on those too, and needs no maps then.
    """
    ignored_below: float = 0.5
    """Score below which such a box is ignored: it counts neither as an ear nor as background."""
    map_weight: float = 1.0
    """Weight of the map loss beside the label loss; 0 leaves the maps out."""
    prediction_weight: float = 1.0
    """Weight of predicted points (landmarker) or boxes (detector) beside labelled ones, whatever their share
    of a batch; 0 leaves them out. More than 1 pays where the labeller errs far less than the twin, or the
    training is short; less than 1 where it errs as much.
    """
    agreement_limit: float = AGREEMENT_LIMIT
    """Distance, a fraction of the crop's side, between the labeller's readings of a crop and of its mirror
    image from which on a predicted point has no weight.
    """
    GONE: ClassVar[Mapping[str, Gone]] = {
        "frame_maps": Renamed("maps"),
        "sure_from": Renamed("ignored_below"),
    }

    def __post_init__(self) -> None:
        """Raise UserError for numbers that make no sense."""
        require_fractions(self, "ignored_below")
        require_at_least(self, 0, "map_weight", "prediction_weight", "agreement_limit")


@dataclass(frozen=True)
class MapLossOptions:
    """How the student's map is matched with the teacher's."""

    loss_weights: dict[str, float] = field(default_factory=lambda: {"cosine": 0.9, "smooth_l1": 0.1})
    """What the map loss is made of: cosine, smooth_l1, mse, pearson, relation_locations, relation_samples,
    masked. Kept heatmaps have a loss of their own, the Kullback-Leibler divergence.
    """
    normalise: Literal["channel", "isotropic", "none"] = "channel"
    """How the teacher's maps are brought to one scale before they are matched: each channel by its own
    deviation, all by one, or not at all.
    """
    fade: float = 0.3
    """Part of the training, at its end, over which the map loss fades to nothing."""
    GONE: ClassVar[Mapping[str, Gone]] = {
        "masked_share": Fixed(MASKED_SHARE, "no training needed another share"),
    }

    def __post_init__(self) -> None:
        """Raise UserError for numbers that make no sense; the names of losses are checked by
        `distill.student.map_losses.check_loss_weights`.
        """
        require_fractions(self, "fade")


@dataclass(frozen=True)
class BatchOptions:
    """What a batch is made of: the rule is that of `distill.student.plan.batch_mix`."""

    batch_size: int = 64
    """Images a step, of all devices together. The twin has as many, all of them labelled."""
    labelled_share: float = 0.5
    """Labelled part of a batch, where the others bring predicted points or boxes."""
    GONE: ClassVar[Mapping[str, Gone]] = {
        "labelled_last": Removed(
            "batches labelled alone at the end made it worse: docs/experiments/landmarker.md", was=0.0
        ),
    }

    def __post_init__(self) -> None:
        """Raise UserError for numbers that make no sense."""
        require_at_least(self, 2, "batch_size")
        require_fractions(self, "labelled_share")


@dataclass(frozen=True)
class OptimizationOptions:
    """How long the student is trained, and how fast."""

    steps: int = 3000
    """Training steps; rounded to whole rounds."""
    rounds: int = 10
    """Validations and checkpoints in the training."""
    lr: float | None = None
    """Highest learning rate (AdamW, warm-up, cosine); None: 2e-2 (landmarker) or 5e-3 (detector)."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises."""
    ema_decay: float = 0.998
    """Of the averaged weights, which are validated and saved; 0: none."""
    GONE: ClassVar[Mapping[str, Gone]] = {
        "epochs": Removed("give steps: arms of a study are compared after the same number of them", was=0),
        "weight_decay": Fixed(WEIGHT_DECAY, "no training needed another"),
        "gradient_clip": Fixed(GRADIENT_CLIP, "no training needed another"),
    }

    def __post_init__(self) -> None:
        """Raise UserError for numbers that make no sense."""
        require_at_least(self, 1, "rounds", "steps")
        require_fractions(self, "ema_decay")


@dataclass(frozen=True)
class AugmentationOptions:
    """How images are moved and changed."""

    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    """How crops are moved; what was kept of the teacher follows."""
    photometry: PhotometryConfig = field(default_factory=PhotometryConfig)
    """Light, noise, blur, occlusion: of what the student sees, never of what the teacher saw."""
    frame: FrameConfig = field(default_factory=FrameConfig)
    """How frames are moved."""


def require_fractions(options: Any, *names: str) -> None:
    """Raise UserError unless these options are numbers from 0 to 1."""
    for name in names:
        if not 0 <= getattr(options, name) <= 1:
            raise UserError(f"{name}={getattr(options, name)}: a number from 0 to 1 is needed.")


def require_at_least(options: Any, least: int, *names: str) -> None:
    """Raise UserError unless these options are `least` or more."""
    for name in names:
        if getattr(options, name) < least:
            raise UserError(f"{name}={getattr(options, name)}: at least {least} is needed.")
