"""Options of EarDetector's fine-tuning, in groups. No heavy imports: commands read them for --help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from configs.errors import UserError
from configs.groups import Fixed, Gone, Renamed
from data.augmentation import GeometryConfig, PhotometryConfig
from teacher.models.sizes import FusionSizes
from teacher.training.options import GRADIENT_CLIP, WEIGHT_DECAY


@dataclass(frozen=True)
class LabelOptions:
    """Labels, and ears without them

    Raises UserError for numbers and combinations that make no sense.
    """

    labels: float = 0
    """How many of the training ears to use: a count from 1 on, a fraction below 1, 0 for all."""
    unlabelled_npy: Path | None = None
    """Manifest of further ears, whose landmarks are not looked at: their points must agree between two views
    (consistency).
    """
    pseudo_labelled_npy: Path | None = None
    """Instead of unlabelled_npy: such ears with the points that a student predicts (distill.label)."""

    def __post_init__(self) -> None:
        """Check numbers and combinations."""
        if self.labels < 0 or (self.labels > 1 and self.labels != int(self.labels)):
            raise UserError(
                f"labels={self.labels}: give a count (300), a fraction below 1 (0.1), or 0 for all"
            )
        if self.unlabelled_npy is not None and self.pseudo_labelled_npy is not None:
            raise UserError(
                "unlabelled_npy and pseudo_labelled_npy: the same ears with and without; give one"
            )

    @property
    def has_unlabelled(self) -> bool:
        """Whether ears without labels take part."""
        return self.unlabelled_npy is not None or self.pseudo_labelled_npy is not None


@dataclass(frozen=True)
class ModelOptions:
    """Model

    Raises UserError for a combination that makes no sense.
    """

    from_scratch: bool = False
    """The twin to compare with: the same architecture, none of the checkpoint's weights."""
    freeze_encoder: bool = False
    """Train the head only."""
    fusion: FusionSizes = field(default_factory=FusionSizes)
    """Sizes of the fused map and the heatmaps; an EarDetector that goes on learning keeps its own."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "width": Renamed("fusion.width"),
        "heatmap_cells": Renamed("fusion.cells"),
        "stem_channels": Renamed("fusion.stem_channels"),
        "decoder_maps": Fixed(False, "the decoder's maps brought nothing"),
    }

    def __post_init__(self) -> None:
        """Check the combination."""
        if self.from_scratch and self.freeze_encoder:
            raise UserError(
                "from_scratch with freeze_encoder would keep an encoder of random weights: drop one"
            )


@dataclass(frozen=True)
class FineTuningOptions:
    """Optimizer"""

    lr: float = 2e-3
    """Highest learning rate of the head (AdamW, warm-up, cosine)."""
    encoder_lr_scale: float = 0.3
    """The encoder's learning rate over the head's; from scratch it is 1."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises."""
    ema_decay: float = 0.0
    """Of the averaged weights, which are validated and saved, and which predict the points of ears without
    labels; 0: none.
    """

    GONE: ClassVar[Mapping[str, Gone]] = {
        "weight_decay": Fixed(WEIGHT_DECAY, "no training needed another"),
        "gradient_clip": Fixed(GRADIENT_CLIP, "no training needed another"),
    }


@dataclass(frozen=True)
class ViewOptions:
    """Augmentation"""

    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    """Augmentation that moves pixels; points and box follow."""
    photometry: PhotometryConfig = field(default_factory=PhotometryConfig)
    """Augmentation of light, noise, blur, occlusion."""
