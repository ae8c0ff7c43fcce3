"""The perceptual term: distance of VGG16's features (Johnson et al., ECCV 2016), with torchvision's
weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import vgg16

from configs.errors import UserError
from teacher.checkpoint import misfits
from teacher.models.published_weights import load_vgg16_weights

IMAGE_MEAN = (0.485, 0.456, 0.406)  # ImageNet, of [0, 1]
IMAGE_STD = (0.229, 0.224, 0.225)
TAPS = (3, 8, 15, 22)  # relu1_2, relu2_2, relu3_3, relu4_3 in torchvision's `vgg16().features`


class PerceptualDistance(nn.Module):
    """(reconstruction, target), both (B, 3, H, W) in [-1, 1] -> scalar: mean absolute difference of the
    features of four layers, averaged over the layers. Johnson et al. square it; the absolute value
    keeps outliers from ruling.

    Frozen by type: `train()` keeps it in eval mode and nothing in it requires gradients.
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

    def train(self, mode: bool = True) -> PerceptualDistance:
        return super().train(False)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.maps(target)
        pairs = zip(self.maps(reconstruction), wanted, strict=True)
        return sum((found.float() - want.float()).abs().mean() for found, want in pairs) / len(TAPS)

    def maps(self, images: Tensor) -> list[Tensor]:
        """images: (B, 3, H, W) in [-1, 1]. Returns the maps at TAPS, strides 1, 2, 4, 8."""
        maps, current = [], ((images + 1) / 2 - self.mean) / self.std
        for index, layer in enumerate(self.features):
            current = layer(current)
            if index in TAPS:
                maps.append(current)
        return maps


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
