"""The encoder of a teacher, by the name that `--backbone` takes: one backbone, or several as one"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from configs.errors import UserError, did_you_mean
from teacher.models.backbones.build import build_backbone, default_frozen, find_backbone_weights
from teacher.models.backbones.published import ENSEMBLES, PUBLISHED
from teacher.models.encoder import Encoder
from teacher.models.fusion import resize


class EnsembleEncoder(nn.Module):
    """Several encoders as one, with the interface of `Encoder`.

    Each member gives an equal part of the latent; the parts are concatenated and fused by a linear layer,
    which starts as the identity. Maps of one name are concatenated on the grid of the finest.
    members: name -> Encoder, all of one feature_channels.
    """

    def __init__(self, members: dict[str, Encoder], latent_dim: int) -> None:
        super().__init__()
        self.members = nn.ModuleDict(members)
        self.fuse_mu, self.fuse_logvar = _identity(latent_dim), _identity(latent_dim)
        self.cells = max(member.cells for member in members.values())
        channels = [member.map_channels for member in members.values()]
        self.map_channels = {name: sum(each[name] for each in channels) for name in channels[0]}

    def extract_features(self, images: Tensor) -> dict[str, Tensor]:
        """`backbone`, `feat1`, `feat2` and `feat3` of all members, as `Encoder.extract_features`."""
        pyramids = [member.extract_features(images) for member in self.members.values()]
        joined = {}
        for name in self.map_channels:
            maps = [pyramid[name] for pyramid in pyramids]
            cells = max(values.shape[-1] for values in maps)
            joined[name] = torch.cat([resize(values, cells) for values in maps], dim=1)
        return joined

    def latent(self, feat3: Tensor) -> tuple[Tensor, Tensor]:
        """feat3: (B, members * feature_channels, 4, 4). Returns mu, logvar, each (B, latent_dim)."""
        parts = feat3.chunk(len(self.members), dim=1)
        latents = [member.latent(part) for member, part in zip(self.members.values(), parts, strict=True)]
        mus, logvars = zip(*latents, strict=True)
        return self.fuse_mu(torch.cat(mus, dim=1)), self.fuse_logvar(torch.cat(logvars, dim=1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images: (B, 3, H, W) in [-1, 1]. Returns mu, logvar, each (B, latent_dim)."""
        return self.latent(self.extract_features(images)["feat3"])

    def heads(self) -> dict[str, list[nn.Module]]:
        """What makes `mu` and `logvar` out of feat3."""
        heads = {"mu": [self.fuse_mu], "logvar": [self.fuse_logvar]}
        for member in self.members.values():
            for name, modules in member.heads().items():
                heads[name] += modules
        return heads

    @property
    def backbone_options(self) -> dict[str, Any]:
        """Plain values that rebuild the backbones."""
        return {"members": {name: member.backbone_options for name, member in self.members.items()}}


def build_encoder(
    backbone: str,
    pretrained: bool,
    weights: str | None,
    options: dict[str, Any],
    freeze_layers: int | None,
    latent_dim: int,
    feature_channels: int,
    logvar_start: float,
) -> Encoder | EnsembleEncoder:
    """The encoder on a backbone of PUBLISHED or of ENSEMBLES.

    weights: of an ensemble NAME=PLACE,NAME=PLACE; members that it does not name take the published ones.
    options: of the backbone; of an ensemble {members: {NAME: options}}. freeze_layers: of each backbone;
    None: its own number.
    Raises UserError for unknown names and options, and for weights that cannot be found.
    """

    def one(name: str, weights: str | None, options: dict[str, Any], latent_dim: int) -> Encoder:
        trunk = build_backbone(name, pretrained, weights, options)
        own = default_frozen(name, len(trunk.blocks()))
        trunk.freeze(own if freeze_layers is None else freeze_layers)
        return Encoder(trunk, latent_dim, feature_channels, logvar_start)

    if backbone not in ENSEMBLES:
        return one(backbone, weights, options, latent_dim)
    members = _members(backbone, options)
    if latent_dim % len(members):
        raise UserError(f"latent_dim={latent_dim} cannot be split evenly between {', '.join(members)}")
    places = _places(weights, members)
    part = latent_dim // len(members)
    encoders = {name: one(name, places.get(name), given, part) for name, given in members.items()}
    return EnsembleEncoder(encoders, latent_dim)


def frozen_layers(asked: int | None, pretrained: bool) -> int | None:
    """What to freeze: what is asked for; else each backbone's own number, but nothing of random weights."""
    return 0 if asked is None and not pretrained else asked


def find_encoder_weights(backbone: str, weights: str | None, options: dict[str, Any]) -> None:
    """Raise UserError, before anything is built, when weights for `build_encoder` are not there."""
    if backbone not in ENSEMBLES:
        find_backbone_weights(backbone, weights)
        return
    members = _members(backbone, options)
    places = _places(weights, members)
    for name in members:
        find_backbone_weights(name, places.get(name))


def _members(ensemble: str, options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """name -> options of its backbone."""
    unknown = [key for key in options if key != "members"]
    if unknown:
        raise UserError(f"backbone option {unknown[0]!r} is unknown to {ensemble}; allowed: members")
    given = options.get("members", {})
    if isinstance(given, list):
        given = {name: {} for name in given}
    members = {name: dict(given.get(name) or {}) for name in dict.fromkeys((*ENSEMBLES[ensemble], *given))}
    if len(members) < 2:
        raise UserError(
            f"backbone {ensemble} has {len(members)} member(s), at least two different ones are needed: "
            "--backbone-options '{members: [sam, resnet50]}'"
        )
    if ENSEMBLES[ensemble] and tuple(members) != ENSEMBLES[ensemble]:
        raise UserError(
            f"backbone {ensemble} is of {' and '.join(ENSEMBLES[ensemble])}; use ensemble for others"
        )
    for name in members:
        if name not in PUBLISHED:
            hint = did_you_mean(name, PUBLISHED)
            raise UserError(f"member {name!r} is no backbone; allowed: {', '.join(PUBLISHED)}.{hint}")
    return members


def _places(weights: str | None, members: dict[str, Any]) -> dict[str, str]:
    """`sam=a.pth,resnet50=b.pth` by name."""
    pairs = [word.partition("=") for word in (weights or "").split(",") if word]
    strangers = [name for name, sign, _ in pairs if not sign or name not in members]
    if strangers:
        raise UserError(
            f"--weights {weights}: {strangers[0]!r} names no member; give NAME=PLACE,... with the names "
            f"{', '.join(members)}"
        )
    return {name: place for name, _, place in pairs}


def _identity(width: int) -> nn.Linear:
    layer = nn.Linear(width, width)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
