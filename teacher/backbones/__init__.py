"""The families of image backbones a teacher can stand on.

A backbone is a module with `channels`, `stride` (pixels of its own input per cell), `input_size` (the
side it resizes images to), `options` (plain values that rebuild it), `freeze(layers)` and `forward(images
(B,3,H,W) in [-1,1]) -> (B,C,h,w)`. SAM's forward pass can be had in two parts, `begin` (what is frozen) and
`finish`, and with `checkpointing`.
"""

from __future__ import annotations

from collections.abc import Callable

from configs.errors import UserError, did_you_mean


def build_backbone(name: str, pretrained: bool, weights: str | None = None, options: dict | None = None):
    """The backbone called `name`.

    pretrained: published weights (`weights` = a path or a hub id, None = the family's default); False
    draws random ones and touches no network. options: plain values of the family's own builder. Raises
    UserError for an unknown name or option and, at once, for weights that cannot be found.
    """
    if name not in BUILDERS:
        raise UserError(
            f"backbone {name!r} is unknown; allowed: {', '.join(BUILDERS)}.{did_you_mean(name, BUILDERS)}"
        )
    return BUILDERS[name](pretrained, weights, dict(options or {}))


def _sam(pretrained: bool, weights: str | None, options: dict):
    from teacher.backbones.sam import build_sam

    return build_sam(pretrained, weights, options)


BUILDERS: dict[str, Callable] = {"sam": _sam}
