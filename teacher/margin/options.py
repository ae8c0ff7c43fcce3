"""Options of the margin teacher's training, in groups. No heavy imports: commands read them for --help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from configs.errors import UserError
from teacher.training.options import GRADIENT_CLIP, WEIGHT_DECAY


@dataclass(frozen=True)
class ModelOptions:
    """Model

    Raises UserError for sizes below 1.
    """

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

    def __post_init__(self) -> None:
        """Check the sizes."""
        require_least(self, 1, "projection_dim")


@dataclass(frozen=True)
class CropOptions:
    """Crops

    Raises UserError for a border below 0.
    """

    bbox_buffer: float | None = None
    """Border around the box, as a fraction of its longer side, which the checkpoint then asks of every later
    stage. None: that of the manifests.
    """
    augment: bool = True
    """Move, light, blur and hide parts of the crops it sees."""

    def __post_init__(self) -> None:
        """Check the border."""
        if self.bbox_buffer is not None:
            require_least(self, 0, "bbox_buffer")


@dataclass(frozen=True)
class LossOptions:
    """Loss and pseudo-classes

    Raises UserError for numbers that make no sense.
    """

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

    def __post_init__(self) -> None:
        """Check the numbers."""
        require_least(self, 1, "num_pseudo_classes", "renew_epochs")
        require_least(self, 0, "reconstruction_weight", "metric_weight")


@dataclass(frozen=True)
class ScheduleOptions:
    """Length and optimizer

    Raises UserError for numbers that make no sense.
    """

    max_epochs: int = 100
    """Passes over the training ears."""
    max_minutes: float = 0.0
    """Stop cleanly after so many minutes, those before a resume included; the learning rate then falls by
    the clock. 0: no limit.
    """
    warmup_epochs: int = 5
    """Epochs over which the learning rate rises."""
    learning_rate: float = 1e-4
    """Highest learning rate (AdamW, warm-up, cosine)."""
    weight_decay: float = WEIGHT_DECAY
    """Of matrices and kernels."""
    batch_size: int = 32
    """Crops a step and device."""
    gradient_clip: float = GRADIENT_CLIP
    """Largest norm of the gradient; 0: not clipped."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        require_least(self, 1, "max_epochs", "batch_size")
        require_least(self, 0, "warmup_epochs")


def require_least(options: Any, least: int, *names: str) -> None:
    """Raise UserError unless these numbers are at least so large."""
    for name in names:
        if getattr(options, name) < least:
            needed = f"at least {least} is" if least else "0 or more is"
            raise UserError(f"{name}={getattr(options, name)}: {needed} needed")
