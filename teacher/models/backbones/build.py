"""The families of image backbones a teacher can stand on.

A backbone is a module with `channels`, `stride` (pixels of its own input per cell), `input_size` (the
side it resizes images to), `options` (plain values that rebuild it), `blocks()`, `freeze(layers)` and
`forward(images (B,3,H,W) in [-1,1]) -> (B,C,h,w)`. `published` lists them. SAM's forward pass can be had in
two parts, `begin` (what is frozen) and `finish`, and with `checkpointing`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from configs.errors import UserError, did_you_mean
from teacher.models.backbones.published import ENSEMBLES, MARGIN, PUBLISHED, STAGED, Published
from teacher.models.backbones.sam import build_sam
from teacher.models.backbones.timm_net import build_timm
from teacher.models.published_weights import find_weights


def build_backbone(name: str, pretrained: bool, weights: str | None = None, options: dict | None = None):
    """The backbone called `name`.

    pretrained: published weights (`weights` = a path or a hub id, None = the published ones); False
    draws random ones and touches no network. options: plain values of the family's own builder. Raises
    UserError for an unknown name or option and, at once, for weights that cannot be found.
    """
    published = row(name)
    path = str(find_backbone_weights(name, weights)) if pretrained else None
    return FAMILIES[published.family](published, path, dict(options or {}))


def row(name: str) -> Published:
    """What `published` says of a backbone. Raises UserError for an unknown name."""
    if name == MARGIN:
        raise UserError(f"backbone {name!r} is a teacher of its own: python -m teacher.margin")
    if name not in PUBLISHED:
        allowed = (*PUBLISHED, *ENSEMBLES, STAGED)
        raise UserError(
            f"backbone {name!r} is unknown; allowed: {', '.join(allowed)}.{did_you_mean(name, allowed)}"
        )
    return PUBLISHED[name]


def find_backbone_weights(name: str, weights: str | None = None) -> Path:
    """The file with its weights, downloaded if need be. Raises UserError, at once, when there is none."""
    return find_weights(weights, row(name))


def default_frozen(name: str, blocks: int) -> int:
    """How many of a backbone's blocks are not trained unless asked otherwise."""
    return int(blocks * row(name).frozen_share)


FAMILIES: dict[str, Callable] = {"sam": build_sam, "vit": build_timm, "convnet": build_timm}
