"""FrameTeacher: ears in whole photographs, found on the maps of a large network that has seen the world."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from configs.errors import UserError
from teacher.models.backbones.build import build_backbone
from teacher.models.backbones.published import PUBLISHED
from teacher.models.backbones.timm_net import TimmBackbone
from teacher.models.dense.detector import FEATURE_STRIDE, DenseDetector
from teacher.models.dense.frozen_maps import FrozenMaps
from teacher.models.dense.pyramid import Pyramid

STRIDES = [FEATURE_STRIDE, 16, 32]
WIDTH = 96  # of the pyramid: twice the student detector's


class FrameTeacher(DenseDetector):
    """Frames in [0, 1] -> a score and a box for each cell of the stride-8 map, as `DenseDetector` has it.

    backbone: a hierarchical network of `teacher.models.backbones`, such as efficientnet_lite0. pretrained,
    weights, backbone_options: as of `build_backbone`. freeze_layers: its stages that are not trained; None:
    all. image_px: side of the letterbox in which frames are seen.
    Raises UserError for a backbone without maps at strides 8, 16 and 32, and for weights that cannot be
    found.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        image_px: int = 384,
        width: int = WIDTH,
        freeze_layers: int | None = None,
        pretrained: bool = True,
        weights: str | None = None,
        backbone_options: Mapping[str, Any] | None = None,
    ) -> None:
        _require_hierarchy(backbone)
        options = {**(backbone_options or {}), "strides": STRIDES}
        net = build_backbone(backbone, pretrained, weights, options)
        freeze_layers = len(net.blocks()) if freeze_layers is None else freeze_layers
        net.freeze(freeze_layers)
        super().__init__(Pyramid(StageMaps(net), width), width, image_px)
        self.hparams = {
            "backbone": backbone,
            "image_px": image_px,
            "width": width,
            "freeze_layers": freeze_layers,
            "backbone_options": dict(net.options),
        }

    def feature_maps(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [-1, 1] -> the maps that a student may be matched with: stage8, stage16 and stage32
        of the network as it was pretrained, fused, what the detector made of them.
        """
        unit = (images + 1) / 2
        stages = dict(zip((f"stage{stride}" for stride in STRIDES), self.pyramid.trunk(unit), strict=True))
        return stages | {"fused": self.features(unit)}

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of the backbone is trained."""
        return self.backbone.frozen_layers == len(self.backbone.blocks())

    @property
    def backbone(self) -> TimmBackbone:
        """The network whose maps it reads."""
        return self.pyramid.trunk.backbone


class StageMaps(nn.Module):
    """A backbone as the trunk of a pyramid: images in [0, 1], of any size that its strides divide."""

    frozen_maps: FrozenMaps | None = None  # what computes the maps on a CPU instead of torch

    def __init__(self, backbone: TimmBackbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels = list(backbone.stage_channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        if self.frozen_maps is not None and images.device.type == "cpu":
            return self.frozen_maps(images)
        return self.backbone.maps_at_size(images * 2 - 1)

    def run_frozen(self) -> None:
        """From here on maps come quicker on a CPU, and without gradients; no weight may change."""
        self.frozen_maps = FrozenMaps(_PlainMaps(self.backbone))


class _PlainMaps(nn.Module):
    """The maps as torch computes them."""

    def __init__(self, backbone: TimmBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.backbone.maps_at_size(images * 2 - 1))


def _require_hierarchy(backbone: str) -> None:
    hierarchical = [name for name, known in PUBLISHED.items() if known.family == "convnet"]
    if backbone not in hierarchical:
        raise UserError(
            f"backbone {backbone!r}: a teacher of frames needs maps at strides {STRIDES}; allowed: "
            f"{', '.join(hierarchical)}."
        )
