"""The trunk of both students: a small timm network cut at some strides."""

import timm
import torch
from torch import Tensor, nn

from configs.errors import UserError, did_you_mean

# Small enough for 2 MB of weights when cut. The slim ResNet-10 learns fastest from random weights; the
# others, of timm's EfficientNet family, are for processors that depthwise convolutions suit.
TRUNKS = (
    "resnet10_slim",
    "mobilenetv4_conv_small",
    "mobilenetv4_conv_small_050",
    "mobilenetv4_conv_small_035",
    "mobilenetv3_small_100",
    "mobilenetv3_small_050",
    "mobilenetv2_050",
)
SLIM_CHANNELS = (16, 40, 64, 96)  # at strides 4, 8, 16, 32, where ResNet-10 has 64 to 512
SLIM_STEM = 8

# ImageNet statistics (timm.data.IMAGENET_DEFAULT_MEAN/STD), so that trunks with other weights also fit.
MEAN_RGB = (0.485, 0.456, 0.406)
STD_RGB = (0.229, 0.224, 0.225)


class Trunk(nn.Module):
    """Images in [0, 1] to feature maps at the wanted strides.

    forward: (B, 3, H, W) float RGB in [0, 1] -> list of (B, C_i, H / stride_i, W / stride_i), shallow
    first. `channels` and `strides` are lists in the same order. Blocks after the deepest wanted stride are
    dropped, as is the wide 1x1 that ends such networks and only serves their classifier: timm's
    `features_only` keeps both (mobilenetv4_conv_small: 1.26 M parameters instead of 0.32 M at stride 16).
    """

    def __init__(self, name: str, strides: tuple[int, ...]):
        super().__init__()
        self.normalise = Normalise()
        self.stem, blocks = _create(name)
        stride_of, channels_of = _probe(self.stem, blocks)
        last_of_stride = {stride: index for index, stride in enumerate(stride_of)}
        missing = [stride for stride in strides if stride not in last_of_stride]
        if missing:
            raise UserError(
                f"Trunk {name!r} has no map at stride {missing}; it has {sorted(last_of_stride)}."
            )
        self.taps = [last_of_stride[stride] for stride in strides]
        self.blocks = nn.ModuleList(blocks[: max(self.taps) + 1])
        self.strides = list(strides)
        self.channels = [channels_of[index] for index in self.taps]

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(self.normalise(images))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                maps.append(x)
        return maps


class Normalise(nn.Module):
    """(B, 3, H, W) in [0, 1] -> zero mean and unit spread per channel, inside the model and its ONNX file."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD_RGB).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


def _create(name: str) -> tuple[nn.Sequential, list[nn.Module]]:
    """Stem and blocks of a timm network with random weights."""
    if name not in TRUNKS:
        raise UserError(
            f"Unknown trunk {name!r}; allowed are {', '.join(TRUNKS)}.{did_you_mean(name, TRUNKS)}"
        )
    if name == "resnet10_slim":
        network = timm.create_model("resnet10t", stem_width=SLIM_STEM, channels=SLIM_CHANNELS)
        stem = nn.Sequential(network.conv1, network.bn1, network.act1, network.maxpool)
        return stem, [network.layer1, network.layer2, network.layer3, network.layer4]
    network = timm.create_model(name, features_only=True)
    stem = nn.Sequential(network.conv_stem, network.bn1, getattr(network, "act1", nn.Identity()))
    return stem, list(network.blocks)[:-1]  # the last is the classifier's 1x1


def _probe(stem: nn.Module, blocks: list[nn.Module]) -> tuple[list[int], list[int]]:
    """Stride and channels after each block, read from one forward pass of a small blank image."""
    image_px = 64
    network = nn.Sequential(stem, *blocks)
    was_training = [(module, module.training) for module in network.modules()]
    strides, channels = [], []
    with torch.no_grad():
        x = network.eval()[0](torch.zeros(1, 3, image_px, image_px))
        for block in blocks:
            x = block(x)
            strides.append(image_px // x.shape[-1])
            channels.append(x.shape[1])
    for module, training in was_training:
        module.training = training
    return strides, channels
