"""Vision transformers and hierarchical convnets of timm as backbones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from configs.errors import UserError, did_you_mean
from teacher.models.backbones.freezing import FreezableBackbone
from teacher.models.backbones.published import Published
from teacher.models.backbones.timm_layouts import fitted, read_layout


class TimmBackbone(FreezableBackbone):
    """Images (B,3,H,W) in [-1,1] -> (B,channels,input_size/stride, same).

    network: a name of timm's; sizes: arguments of its constructor other than the published ones, such as
    {depth: 2, embed_dim: 32, num_heads: 2}. A transformer's map is its last one, normalised, without its
    class token; nothing is masked. strides: of a hierarchical network, the stages whose maps are read; they
    are brought to the grid of the finest and concatenated. mean, std: of the images it was trained on, in
    0..1.
    Raises UserError for a network, size or stride that there is not.
    """

    def __init__(
        self,
        network: str,
        input_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        strides: Sequence[int] = (),
        sizes: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.options = {"network": network, "input_size": input_size, "sizes": dict(sizes or {})}
        self.input_size = input_size
        side = {} if strides else {"img_size": input_size, "global_pool": ""}
        self.net = _create(network, {**self.options["sizes"], **side})
        if strides:
            self.options["strides"] = list(strides)
            self._taps, self.stage_channels = _taps(self.net, network, strides)
            self.stride = min(strides)
        else:
            self._taps, self.stage_channels = [len(self.net.blocks) - 1], [self.net.embed_dim]
            self.stride = self.net.patch_embed.patch_size[0]
        self.net.prune_intermediate_layers(self._taps, prune_norm=bool(strides), prune_head=True)
        if hasattr(self.net, "head"):
            self.net.head = nn.Identity()  # ConvNeXt's would keep its norm
        self.channels = sum(self.stage_channels)
        coarsest = max([self.stride, *strides])
        if input_size < coarsest or input_size % coarsest:
            raise UserError(f"backbone option input_size={input_size} is not a multiple of {coarsest}")
        # [-1,1] -> the network's own normalisation, as one multiplication and addition.
        mean, std = torch.tensor(mean), torch.tensor(std)
        self.register_buffer("_gain", (0.5 / std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_offset", ((0.5 - mean) / std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        finest, *coarser = sorted(self.stage_maps(images), key=lambda values: -values.shape[-1])
        grid = finest.shape[-2:]
        enlarged = [F.interpolate(values, size=grid, mode="bilinear") for values in coarser]
        return torch.cat([finest, *enlarged], dim=1) if coarser else finest

    def stage_maps(self, images: Tensor) -> list[Tensor]:
        """The maps that are read, one a stride: (B, stage_channels[i], input_size/strides[i], same)."""
        side = (self.input_size, self.input_size)
        if images.shape[-2:] != side:
            shrinks = images.shape[-1] > self.input_size
            images = F.interpolate(images, size=side, mode="bilinear", align_corners=False, antialias=shrinks)
        return self.maps_at_size(images)

    def maps_at_size(self, images: Tensor) -> list[Tensor]:
        """The same of images as large as they come, sides multiples of the coarsest stride: (B,
        stage_channels[i], H/strides[i], W/strides[i]).
        """
        return self.net.forward_intermediates(
            images * self._gain + self._offset,
            indices=self._taps,
            norm="strides" not in self.options,
            intermediates_only=True,
        )

    def stem(self) -> list[nn.Module]:
        names = ("patch_embed", "stem", "conv_stem", "conv1", "bn1")
        return [getattr(self.net, name) for name in names if hasattr(self.net, name)]

    def blocks(self) -> list[nn.Module]:
        if hasattr(self.net, "layer1"):
            return [getattr(self.net, f"layer{number}") for number in (1, 2, 3, 4)]
        return list(getattr(self.net, "blocks", None) or self.net.stages)


def build_timm(published: Published, path: str | None, options: dict[str, Any]) -> TimmBackbone:
    """A backbone with the weights of the file `path` (None: random ones); `options` over the published."""
    for key in options:
        if key not in published.options:
            raise UserError(
                f"backbone option {key!r} is unknown here; allowed: {', '.join(published.options)}."
                f"{did_you_mean(key, published.options)}"
            )
    options = {**published.options, **options}
    if path is None:
        return TimmBackbone(mean=published.mean, std=published.std, **options)
    state, needed = read_layout(path)
    options["sizes"] = {**needed, **options["sizes"]}
    backbone = TimmBackbone(mean=published.mean, std=published.std, **options)
    backbone.net.load_state_dict(fitted(state, backbone.net, path))
    return backbone


def _create(network: str, arguments: dict[str, Any]) -> nn.Module:
    if not timm.is_model(network):
        raise UserError(
            f"backbone option network={network!r} is no network of timm "
            f"{timm.__version__}.{did_you_mean(network, timm.list_models())}"
        )
    try:
        return timm.create_model(network, pretrained=False, num_classes=0, **arguments)
    except (TypeError, AssertionError) as error:
        raise UserError(
            f"backbone option sizes={arguments}: {network} does not take them ({error})"
        ) from None


def _taps(net: nn.Module, network: str, strides: Sequence[int]) -> tuple[list[int], list[int]]:
    """The positions and channels of the stages at these strides."""
    stages = {stage["reduction"]: (number, stage["num_chs"]) for number, stage in enumerate(net.feature_info)}
    absent = [stride for stride in strides if stride not in stages]
    if absent:
        raise UserError(f"backbone option strides: {network} has no map at {absent}, only at {list(stages)}")
    found = [stages[stride] for stride in sorted(strides)]
    return [number for number, _ in found], [channels for _, channels in found]
