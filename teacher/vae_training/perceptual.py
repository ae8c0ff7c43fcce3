"""The perceptual term: distance of VGG16's features (Johnson et al., ECCV 2016), with torchvision's weights,
or of EfficientNet-Lite0's where VGG16 is not at hand.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torchvision.models import vgg16

from configs.errors import UserError
from teacher.fitting import misfits
from teacher.models.backbones.published import PUBLISHED
from teacher.models.backbones.timm_net import TimmBackbone, build_timm
from teacher.models.published_weights import (
    find_vgg16_weights,
    load_vgg16_weights,
    package_installed,
    packaged_weights,
    vgg16_in_cache,
)

IMAGE_MEAN = (0.485, 0.456, 0.406)  # ImageNet, of [0, 1]
IMAGE_STD = (0.229, 0.224, 0.225)
LITE, LITE_STRIDES = "efficientnet_lite0", (2, 4, 8, 16)
TAPS = (3, 8, 15, 22)  # relu1_2, relu2_2, relu3_3, relu4_3 in torchvision's `vgg16().features`


class FeatureDistance(nn.Module):
    """(reconstruction, target), both (B, 3, H, W) in [-1, 1] -> scalar: mean absolute difference of the
    features of several layers, averaged over the layers. Johnson et al. square it; the absolute value keeps
    outliers from ruling.

    Frozen by type: `train()` keeps it in eval mode and nothing in it requires gradients.
    """

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.maps(target)
        pairs = list(zip(self.maps(reconstruction), wanted, strict=True))
        return sum(self.difference(found.float(), want.float()) for found, want in pairs) / len(pairs)

    def difference(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Of one layer's features, (B, C, h, w) each: a scalar."""
        return (found - wanted).abs().mean()

    def maps(self, images: Tensor) -> list[Tensor]:
        """images: (B, 3, H, W) in [-1, 1]. Returns the features that are compared, fine to coarse."""
        raise NotImplementedError


class PerceptualDistance(FeatureDistance):
    """Of VGG16's features at TAPS, strides 1, 2, 4, 8. features: the layers of torchvision's
    `vgg16().features`.
    """

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features[: TAPS[-1] + 1]
        for layer in self.features:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # the tapped map must survive the next layer
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).train(False)

    def maps(self, images: Tensor) -> list[Tensor]:
        maps, current = [], ((images + 1) / 2 - self.mean) / self.std
        for index, layer in enumerate(self.features):
            current = layer(current)
            if index in TAPS:
                maps.append(current)
        return maps


class LiteDistance(FeatureDistance):
    """Of EfficientNet-Lite0's maps at LITE_STRIDES. backbone: built with these strides.

    Its maps are linear and of different spread, so each difference counts in deviations of the target's map.
    """

    def __init__(self, backbone: TimmBackbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.requires_grad_(False).train(False)

    def difference(self, found: Tensor, wanted: Tensor) -> Tensor:
        return super().difference(found, wanted) / wanted.std().clamp_min(1e-3)

    def maps(self, images: Tensor) -> list[Tensor]:
        return self.backbone.stage_maps(images)


def load_perceptual(vgg_weights: str | None, image_px: int) -> FeatureDistance:
    """The network of the perceptual term: VGG16, or EfficientNet-Lite0 where only that is at hand, which is
    said.

    vgg_weights: torchvision's file, None for the hub cache; image_px: side of the crops. Raises UserError as
    `load_vgg16` where neither is there.
    """
    if not takes_lite(vgg_weights):
        return load_vgg16(vgg_weights)
    print(f"perceptual term: features of {LITE}, since VGG16 is not on this machine", flush=True)
    options = {"strides": list(LITE_STRIDES), "input_size": image_px}
    return LiteDistance(build_timm(PUBLISHED[LITE], str(packaged_weights(PUBLISHED[LITE].package)), options))


def find_perceptual(vgg_weights: str | None) -> None:
    """Raise UserError, before anything is built, where `load_perceptual` would find no network."""
    if not takes_lite(vgg_weights):
        find_vgg16_weights(vgg_weights)


def takes_lite(vgg_weights: str | None) -> bool:
    """Whether VGG16 is neither named nor in the hub cache, but EfficientNet-Lite0's package is installed."""
    return not vgg_weights and not vgg16_in_cache() and package_installed(PUBLISHED[LITE].package)


def load_vgg16(weights: str | None = None) -> PerceptualDistance:
    """VGG16 for the perceptual term; `weights`: torchvision's file, None for the hub cache, then the network.

    Raises UserError for weights that cannot be found (at once) or do not fit.
    """
    state = load_vgg16_weights(weights)
    with torch.device("meta"):
        network = vgg16(weights=None).features
    expected = {f"features.{key}": value.shape for key, value in network.state_dict().items()}
    found = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    faults = misfits({key: value.shape for key, value in found.items()}, expected)
    if faults:
        raise UserError(f"{weights or 'VGG16'}: not torchvision's VGG16 weights: {faults}.")
    features = {key.removeprefix("features."): value for key, value in found.items()}
    network.load_state_dict(features, assign=True)
    return PerceptualDistance(network)
