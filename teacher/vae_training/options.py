"""Options of the SAM-VAE's training, in groups. No heavy imports: commands read them for --help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from configs.groups import Fixed, Gone, Renamed
from data.augmentation import GeometryConfig, PhotometryConfig
from teacher.models.sizes import FusionSizes

# How the second view is moved: far enough that a place is not found by where it lies.
SECOND_GEOMETRY = GeometryConfig(0.5, 30.0, 0.12, 0.22)


@dataclass(frozen=True)
class BackboneOptions:
    """Backbone of the encoder"""

    backbone: str = "sam"
    """The encoder's backbone; `python -m teacher.check --list` names all."""
    pretrained: bool = True
    """Start from the backbone's published weights (facebook/sam-vit-base and so on)."""
    weights: str = ""
    """Other backbone weights: a hub name, a folder in transformers' layout, or a file such as
    medsam_vit_b.pth; of an ensemble NAME=PLACE,NAME=PLACE.
    """
    backbone_options: dict[str, Any] = field(default_factory=dict)
    """Options of the backbone, such as {input_size: 256}, the side that SAM enlarges crops to, px (256 unless
    given; 128 to 1024 in steps of 16); from scratch also its sizes. Of an ensemble {members: [sam,
    resnet50]}, or {members: {sam: {input_size: 256}, resnet50: {}}}.
    """
    freeze_layers: int | None = None
    """Backbone blocks, from the input on, that are not trained (0: all train, the patch embedding too). None:
    as many as suit published weights (half of SAM's), 0 from scratch.
    """

    GONE: ClassVar[Mapping[str, Gone]] = {"sam_input_size": Renamed("backbone_options.input_size")}


@dataclass(frozen=True)
class VaeSizes:
    """Sizes of the VAE"""

    latent_dim: int = 1024
    """Dimensions of the latent."""
    image_size: int = 128
    """Side of the crops, px."""
    feature_channels: int = 512
    """Width of the three stages behind the backbone."""
    decoder: str = "transposed"
    """The decoder: transposed (the design's) or residual (small and quick to learn)."""
    decoder_channels: tuple[int, ...] = (512, 512, 256, 128, 64, 32)
    """Channels of the decoder from the 4x4 grid on."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "logvar_start": Fixed(-6.0, "more noise drowns the signal of an untrained latent")
    }


@dataclass(frozen=True)
class LossOptions:
    """Loss"""

    perceptual_weight: float = 1.5
    """Weight of the distance of VGG16 features; 0 needs no VGG16."""
    ssim_weight: float = 0.6
    """Weight of 1 - SSIM."""
    edge_weight: float = 0.3
    """Weight of the error of the image gradients."""
    contrastive_weight: float = 0.1
    """Weight of the mean absolute cosine between latents of different ears."""
    center_weight: float = 3.0
    """Weight of the absolute error weighted to the middle of the crop."""
    kl_weight: float = 1e-6
    """Weight of the KL divergence to the unit Gaussian."""
    matching_weight: float = 0.0
    """Weight of finding each place of a view in a second view of the same ear; 0 draws no second views."""
    exchange_weight: float = 0.0
    """Weight of the same by way of another ear."""
    fusion: FusionSizes = field(default_factory=FusionSizes)
    """Sizes of the fused map, in which places are matched; teacher.finetune wants the same."""
    vgg_weights: str = ""
    """VGG16 weights file in torchvision's layout; empty: torch's hub cache, then the network."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "l1_weight": Fixed(1.0, "the other weights are relative to it"),
        "matching_map": Fixed("fused", "that is the map which EarDetector takes over"),
    }


@dataclass(frozen=True)
class AugmentationOptions:
    """Augmentation"""

    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    """Augmentation that moves pixels: input and target alike."""
    photometry: PhotometryConfig = field(default_factory=PhotometryConfig)
    """Augmentation of light, noise, blur, occlusion: of the input only, the target stays clean."""
    second_photometry: PhotometryConfig = field(default_factory=PhotometryConfig)
    """Light, noise, blur, occlusion of the second view, where places are matched."""
    train_views: int = 0
    """Augmented views of each ear, used in turn; 0: a new one every epoch."""
    prefix_dir: Path | None = None
    """Cache here the features of the frozen blocks for each of the train_views (positions are frozen too), so
    that steps begin behind them. None: computed in every step.
    """

    GONE: ClassVar[Mapping[str, Gone]] = {
        "second_geometry": Fixed(SECOND_GEOMETRY, "far enough that a place is not found by where it lies")
    }
