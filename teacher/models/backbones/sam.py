"""Segment Anything's image encoder (Kirillov et al., ICCV 2023) as a backbone, at any input size.

The network is transformers' `SamVisionEncoder`: patch embedding, a learned position table, blocks with
windowed or global attention and relative positions, and a convolutional neck. facebook/sam-vit-base has
89,670,912 parameters. Its weights are transformers'; the blocks are run by `sam_blocks`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionEncoder

from configs.errors import UserError, did_you_mean
from teacher.models.backbones.freezing import FreezableBackbone
from teacher.models.backbones.published import SAM_BASE, Published
from teacher.models.backbones.sam_blocks import run_block
from teacher.models.published_weights import load_sam_weights

# SAM was trained with the ImageNet statistics on 0..255 (segment_anything/modeling/sam.py); here of [0, 1].
IMAGE_MEAN = (123.675 / 255, 116.28 / 255, 103.53 / 255)
IMAGE_STD = (58.395 / 255, 57.12 / 255, 57.375 / 255)
# transformers' default of 1e-10 (it expects published weights) makes a network from scratch output nothing.
INITIALIZER_RANGE = 0.02
# Enlarging a 128 px crop further adds no information. 256 px give 16 x 16 cells, one for 8 px of the crop, as
# fine as the maps that are distilled; each doubling quadruples the cost and more (docs/costs.md).
NATIVE_INPUT_PX = 256
INPUT_PX_RANGE = (128, 1024)


class SamBackbone(FreezableBackbone):
    """SAM's image encoder: images (B,3,H,W) in [-1,1] -> (B,output_channels,input_size/patch_size, same).

    Images of another size than `input_size` are resized bilinearly (antialiased when they shrink).
    """

    def __init__(
        self,
        hidden_size: int,
        num_hidden_layers: int,
        num_attention_heads: int,
        patch_size: int,
        window_size: int,
        global_attn_indexes: list[int],
        output_channels: int,
        mlp_ratio: float,
        input_size: int,
    ):
        super().__init__()
        self.options = {
            "hidden_size": hidden_size,
            "num_hidden_layers": num_hidden_layers,
            "num_attention_heads": num_attention_heads,
            "patch_size": patch_size,
            "window_size": window_size,
            "global_attn_indexes": list(global_attn_indexes),
            "output_channels": output_channels,
            "mlp_ratio": mlp_ratio,
            "input_size": input_size,
        }
        _check(self.options)
        self.channels = output_channels
        self.stride = patch_size
        self.input_size = input_size
        self.checkpointing = False  # recompute blocks in the backward pass instead of keeping what they saw
        config = SamVisionConfig(
            image_size=input_size,
            initializer_range=INITIALIZER_RANGE,
            **{key: value for key, value in self.options.items() if key != "input_size"},
        )
        self.vision_encoder = SamVisionEncoder(config)
        nn.init.trunc_normal_(self.vision_encoder.pos_embed, std=INITIALIZER_RANGE)
        # [-1,1] -> SAM's own normalisation, as one multiplication and addition.
        mean, std = torch.tensor(IMAGE_MEAN), torch.tensor(IMAGE_STD)
        self.register_buffer("_gain", (0.5 / std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_offset", ((0.5 - mean) / std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.finish(self.begin(images))

    def begin(self, images: Tensor) -> Tensor:
        """Patch embedding, positions and the frozen blocks: images (B,3,H,W) -> tokens (B,h,w,hidden_size).

        Never changes for an image when the position table is frozen too.
        """
        side = (self.input_size, self.input_size)
        if images.shape[-2:] != side:
            shrinks = images.shape[-1] > self.input_size
            images = F.interpolate(images, size=side, mode="bilinear", align_corners=False, antialias=shrinks)
        encoder = self.vision_encoder
        tokens = encoder.patch_embed(images * self._gain + self._offset) + encoder.pos_embed
        for layer in encoder.layers[: self.frozen_layers]:
            tokens = run_block(layer, tokens)
        return tokens

    def finish(self, tokens: Tensor) -> Tensor:
        """The blocks that train and the neck: what `begin` gives -> the map that `forward` gives."""
        for layer in self.vision_encoder.layers[self.frozen_layers :]:
            if self.checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(run_block, layer, tokens, use_reentrant=False)
            else:
                tokens = run_block(layer, tokens)
        return self.vision_encoder.neck(tokens)

    def freeze(self, layers: int, positions: bool = False) -> None:
        """As every backbone's; positions: the position table too, so that `begin` never changes."""
        super().freeze(layers)
        if positions:
            self.vision_encoder.pos_embed.requires_grad_(False)

    def stem(self) -> list[nn.Module]:
        return [self.vision_encoder.patch_embed]

    def blocks(self) -> nn.ModuleList:
        return self.vision_encoder.layers


def with_input_size(options: dict) -> dict:
    """Backbone options with the side that crops are enlarged to, `input_size`: NATIVE_INPUT_PX unless given.

    Raises UserError for a side that the published patches and position tables are not made for; a SAM of
    other sizes may have any that its patches divide.
    """
    input_px = options.get("input_size")
    if input_px is None:
        return {**options, "input_size": NATIVE_INPUT_PX}
    smallest, largest = INPUT_PX_RANGE
    patch = options.get("patch_size", SAM_BASE["patch_size"])
    of_other_sizes = options.keys() - {"input_size"}
    if input_px % patch or not (of_other_sizes or smallest <= input_px <= largest):
        raise UserError(
            f"backbone option input_size={input_px}: a multiple of the patches' {patch} px from {smallest} "
            f"to {largest} is needed."
        )
    return {**options, "input_size": input_px}


def build_sam(published: Published, path: str | None, options: dict) -> SamBackbone:
    """SAM with the weights of the file `path` (their own sizes; `options` may only choose input_size), or
    from scratch (None; any sizes).
    """
    for key in options:
        if key not in SAM_BASE:
            raise UserError(
                f"backbone option {key!r} is unknown to sam; allowed: "
                f"{', '.join(SAM_BASE)}.{did_you_mean(key, SAM_BASE)}"
            )
    if path is None:
        return SamBackbone(**_from_scratch_options(published.options, options))
    found = load_sam_weights(path, published)
    for key, value in options.items():
        if key != "input_size" and found.options[key] != value:
            raise UserError(
                f"backbone option {key}={value!r} contradicts the weights of {found.origin}, which "
                f"have {found.options[key]!r}: "
                "drop the option, or train from scratch with pretrained off"
            )
    sizes = {**found.options, "input_size": options.get("input_size", found.options["input_size"])}
    with torch.device("meta"):
        expected = {key: value.shape for key, value in SamBackbone(**sizes).state_dict().items()}
    model = SamBackbone(**sizes)
    state = resize_position_tables(found.state_dict, expected)
    found.check(state, expected)
    model.load_state_dict(state)
    return model


def resize_position_tables(
    state_dict: dict[str, Tensor], expected: dict[str, torch.Size]
) -> dict[str, Tensor]:
    """The weights fitted to a model of another input size: the position table bicubic with antialiasing,
    the relative positions of global blocks linear (those of windowed blocks have the same size
    everywhere). Same size: unchanged.
    """
    resized = dict(state_dict)
    for key, value in state_dict.items():
        shape = expected.get(key)
        if shape is None or value.shape == shape:
            continue
        if key.endswith("pos_embed") and value.dim() == 4 and value.shape[-1] == shape[-1]:
            table = value.permute(0, 3, 1, 2).float()
            table = F.interpolate(table, size=shape[1:3], mode="bicubic", align_corners=False, antialias=True)
            resized[key] = table.permute(0, 2, 3, 1).to(value.dtype)
        elif key.endswith(("rel_pos_h", "rel_pos_w")) and value.shape[-1] == shape[-1]:
            rows = F.interpolate(value.t()[None].float(), size=shape[0], mode="linear", align_corners=False)
            resized[key] = rows[0].t().to(value.dtype)
    return resized


def _from_scratch_options(published: dict, options: dict) -> dict:
    """Published sizes with `options` over them; global attention then falls on every quarter of the
    blocks.
    """
    sizes = {**published, **options}
    if "num_hidden_layers" in options and "global_attn_indexes" not in options:
        blocks = sizes["num_hidden_layers"]
        sizes["global_attn_indexes"] = sorted({max(blocks * quarter // 4 - 1, 0) for quarter in (1, 2, 3, 4)})
    return sizes


def _check(options: dict) -> None:
    hidden, heads = options["hidden_size"], options["num_attention_heads"]
    if hidden % heads:
        raise UserError(
            f"backbone option hidden_size={hidden} is not a multiple of num_attention_heads={heads}"
        )
    side, patch = options["input_size"], options["patch_size"]
    if side < patch or side % patch:
        raise UserError(f"backbone option input_size={side} is not a multiple of patch_size={patch}")
    outside = [i for i in options["global_attn_indexes"] if not 0 <= i < options["num_hidden_layers"]]
    if outside:
        raise UserError(
            f"backbone option global_attn_indexes names blocks {outside}, but there are "
            f"{options['num_hidden_layers']} (from 0)"
        )
