"""The layouts SAM's image encoder is published in, brought to one: `vision_encoder.*`, as in transformers.

transformers (facebook/sam-vit-*): keys as here, with the mask decoder and others beside them.
Segment Anything and MedSAM (.pth): `image_encoder.*` with the original names.
"""

from __future__ import annotations

import re

from torch import Tensor

from configs.errors import UserError

# What is published beside the image encoder, and not needed here.
OTHER_PARTS = ("prompt_encoder.", "mask_decoder.", "shared_image_embedding.", "pixel_mean", "pixel_std")
WRAPPERS = ("model", "state_dict")  # fine-tuning scripts save the weights inside one of these
# original name -> transformers name, below `image_encoder.` and `vision_encoder.`
RENAMINGS = (
    (r"^patch_embed\.proj\.", "patch_embed.projection."),
    (r"^blocks\.(\d+)\.norm([12])\.", r"layers.\1.layer_norm\2."),
    (r"^blocks\.(\d+)\.", r"layers.\1."),
    (r"^neck\.0\.", "neck.conv1."),
    (r"^neck\.1\.", "neck.layer_norm1."),
    (r"^neck\.2\.", "neck.conv2."),
    (r"^neck\.3\.", "neck.layer_norm2."),
)


def to_vision_encoder(content: dict, origin: str) -> dict[str, Tensor]:
    """The image encoder's weights out of a published state dict, keys as in transformers.

    Raises UserError, naming the keys, for a file of neither layout or with keys that belong to no part of
    SAM.
    """
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    content = {key.removeprefix("module."): value for key, value in content.items()}
    state, strangers = {}, []
    for key, value in content.items():
        if key.startswith("vision_encoder."):
            state[key] = value
        elif key.startswith("image_encoder."):
            state["vision_encoder." + _renamed(key.removeprefix("image_encoder."))] = value
        elif not key.startswith(OTHER_PARTS):
            strangers.append(key)
    if not state or strangers:
        shown = ", ".join(strangers[:6]) + (f" and {len(strangers) - 6} more" if len(strangers) > 6 else "")
        raise UserError(
            f"{origin}: not the weights of a Segment Anything model"
            + (f"; keys that belong to none of its parts: {shown}" if strangers else "")
            + ". Known layouts: transformers (vision_encoder.*) and Segment Anything / MedSAM .pth "
            "(image_encoder.*)."
        )
    return state


def sizes_of(state: dict[str, Tensor], origin: str) -> dict:
    """The sizes of the SAM these weights belong to (the options of `teacher.models.backbones.sam`), read off
    their shapes.
    """
    name = "vision_encoder."
    try:
        side, hidden = state[name + "pos_embed"].shape[1], state[name + "pos_embed"].shape[-1]
        patch = state[name + "patch_embed.projection.weight"].shape[-1]
        blocks = 1 + max(
            int(m[1]) for key in state if (m := re.match(r"vision_encoder\.layers\.(\d+)\.", key))
        )
        tables = [state[f"{name}layers.{i}.attn.rel_pos_h"].shape for i in range(blocks)]
        windows = {(rows + 1) // 2 for rows, _ in tables if rows != 2 * side - 1}
        return {
            "hidden_size": hidden,
            "num_hidden_layers": blocks,
            "num_attention_heads": hidden // tables[0][1],
            "patch_size": patch,
            "window_size": windows.pop() if windows else side,
            "global_attn_indexes": [i for i, (rows, _) in enumerate(tables) if rows == 2 * side - 1],
            "output_channels": state[name + "neck.conv1.weight"].shape[0],
            "mlp_ratio": state[name + "layers.0.mlp.lin1.weight"].shape[0] / hidden,
            "input_size": side * patch,
        }
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(
            f"{origin}: incomplete weights of a Segment Anything model (missing: {error}). Copy the "
            "file again."
        ) from None


def _renamed(key: str) -> str:
    for pattern, replacement in RENAMINGS:
        key = re.sub(pattern, replacement, key)
    return key
