"""EarDetector: the teacher's encoder with a head that reads a box and 17 points from its spatial maps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from configs.errors import UserError
from data.crop_settings import CropSettings
from teacher.checkpoint import load_as
from teacher.models.autoencoder import Autoencoder
from teacher.models.fusion import ResidualStep
from teacher.models.heatmaps import soft_argmax, spatial_softmax
from teacher.models.teachers import build_teacher, load_teacher

BOX_EDGES = 4  # left, top, right, bottom: one map each


class DetectorOutput(NamedTuple):
    """All that is read from a batch of crops, in unit crop coordinates (see teacher/models/heatmaps.py)."""

    points_unit: Tensor  # (B, K, 2)
    confidence: Tensor  # (B, K), 0..1, how concentrated the heatmap is
    visibility_logits: Tensor  # (B, K), above 0: visible
    edges_unit: Tensor  # (B, 4) left, top, right, bottom of the tight ear box
    ear_logits: Tensor  # (B,), above 0: the crop shows an ear
    point_heatmaps: Tensor  # (B, K, h, w) logits, `margin_cells` of them outside the crop on every side
    edge_heatmaps: Tensor  # (B, 4, h, w) logits, likewise


class EarDetector(nn.Module):
    """Box, ear-or-not and landmarks of an ear crop, from the maps of a SAM-VAE.

    vae: hparams of the teacher whose encoder (and decoder, with decoder_maps) this is; kind: which one, of
    `teacher.models.teachers`.
    width: channels of the fused map; heatmap_cells: its side; margin_cells: cells added outside the crop so
    that points at its edge can be reached; stem_channels: width of the convolutions on the pixels, 0 for
    none. decoder_maps: also read the decoder's maps at the mean latent. freeze_encoder: train the head
    only. `hparams` rebuilds it: EarDetector(**hparams). It starts from random weights; see
    `from_vae_checkpoint`.
    """

    crops = CropSettings()  # of the ears it was trained on

    def __init__(
        self,
        vae: dict[str, Any],
        num_landmarks: int = 17,
        width: int = 64,
        heatmap_cells: int = 32,
        margin_cells: int = 2,
        stem_channels: int = 32,
        decoder_maps: bool = False,
        freeze_encoder: bool = False,
        kind: str = "EarVAE",
    ) -> None:
        super().__init__()
        if num_landmarks < 1:
            raise UserError(f"num_landmarks={num_landmarks}, at least 1 is needed")
        self.hparams = {
            "vae": dict(vae),
            "num_landmarks": num_landmarks,
            "width": width,
            "heatmap_cells": heatmap_cells,
            "margin_cells": margin_cells,
            "stem_channels": stem_channels,
            "decoder_maps": decoder_maps,
            "freeze_encoder": freeze_encoder,
            "kind": kind,
        }
        self.margin_cells = margin_cells
        self.freeze_encoder = freeze_encoder
        network = build_teacher(kind, vae)
        self.image_size = network.hparams["image_size"]
        self.encoder = network.encoder
        self.decoder = network.decoder if decoder_maps else None
        sizes = {"width": width, "cells": heatmap_cells, "stem_channels": stem_channels}
        self.fusion = network.build_fusion(_pyramid_channels(network, decoder_maps), **sizes)
        # A fused map that came with the VAE is taken over when it is of the same maps and sizes.
        self._fusion_is_pretrained = not decoder_maps and network.hparams.get("fusion") == sizes
        self.heatmaps = HeatmapHead(width, num_landmarks + BOX_EDGES, margin_cells)
        self.point_visibility = VisibilityHead(width, num_landmarks)
        self.ear = nn.Sequential(
            nn.Linear(2 * width + self.encoder.map_channels["feat3"], width), nn.SiLU(), nn.Linear(width, 1)
        )
        for module in self._unread_modules():
            module.requires_grad_(False)
        if freeze_encoder:
            for module in self.pretrained_modules().values():
                module.requires_grad_(False)
            self.train(self.training)

    @classmethod
    def from_vae_checkpoint(
        cls,
        checkpoint_path: str | Path,
        num_landmarks: int = 17,
        freeze_encoder: bool = False,
        **options: Any,
    ) -> "EarDetector":
        """A detector on the encoder of a trained EarVAE; the head starts from random weights.

        checkpoint_path: of `teacher.train` or `teacher.margin`, or shipped. options: further arguments of
        EarDetector. Raises UserError for a file that is missing or holds no teacher.
        """
        vae = load_teacher(checkpoint_path)
        return cls.from_vae(vae, num_landmarks=num_landmarks, freeze_encoder=freeze_encoder, **options)

    @classmethod
    def from_vae(cls, vae: Autoencoder, **options: Any) -> "EarDetector":
        """A detector with a copy of these weights. options: arguments of EarDetector other than `vae`."""
        detector = cls(vae=vae.hparams, kind=type(vae).__name__, **options)
        detector.crops = vae.crops
        detector.encoder.load_state_dict(vae.encoder.state_dict())
        if detector.decoder is not None:
            detector.decoder.load_state_dict(vae.decoder.state_dict())
        if "fusion" in detector.pretrained_modules():
            detector.fusion.load_state_dict(vae.fusion.state_dict())
        return detector

    @classmethod
    def from_scratch(cls, checkpoint_path: str | Path, **options: Any) -> "EarDetector":
        """The twin of `from_vae_checkpoint`: the same architecture, every weight random.

        The checkpoint is loaded though only its sizes are wanted: so the heads of both draw the same weights.
        """
        teacher = load_teacher(checkpoint_path)
        detector = cls(vae=teacher.hparams, kind=type(teacher).__name__, **options)
        detector.crops = teacher.crops
        return detector

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path) -> "EarDetector":
        """The model of a checkpoint of `teacher.finetune`, in eval mode on the CPU.

        Raises UserError for a file that is missing, truncated or holds no EarDetector.
        """
        return load_as({"EarDetector": cls}, checkpoint_path)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images: (B, 3, image_size, image_size) in [-1, 1], RGB crops.

        Returns boxes (B, 5): centre x, centre y, width, height of the tight ear box, and the logit that
        there is an ear; and keypoints (B, K, 3): x, y, and the logit that the point is visible. Coordinates
        are fractions of the crop's side from its left and upper edge, (x_px + 0.5) / image_size, and may
        lie slightly outside 0..1.
        """
        reading = self.read(images)
        left_top, right_bottom = reading.edges_unit[:, :2], reading.edges_unit[:, 2:]
        boxes = torch.cat(
            ((left_top + right_bottom) / 2, right_bottom - left_top, reading.ear_logits[:, None]), dim=1
        )
        return boxes, torch.cat((reading.points_unit, reading.visibility_logits[..., None]), dim=-1)

    def read(self, images: Tensor) -> DetectorOutput:
        """As `forward`, with the heatmaps and their confidence: for the loss and for pseudo-labels."""
        return self.read_maps(self.feature_maps(images))

    def read_maps(self, maps: dict[str, Tensor]) -> DetectorOutput:
        """The same from what `feature_maps` returned."""
        fused = maps["fused"]
        padded, heatmaps = self.heatmaps(fused)
        point_heatmaps, edge_heatmaps = heatmaps[:, :-BOX_EDGES], heatmaps[:, -BOX_EDGES:]
        points_unit, confidence = soft_argmax(point_heatmaps, self.margin_cells)
        edge_points, _ = soft_argmax(edge_heatmaps, self.margin_cells)
        # Maps left and right tell an x, maps top and bottom a y.
        edges_unit = torch.stack([edge_points[:, edge, edge % 2] for edge in range(BOX_EDGES)], dim=1)
        pooled = [fused.mean(dim=(2, 3)), fused.amax(dim=(2, 3)), maps["feat3"].mean(dim=(2, 3))]
        return DetectorOutput(
            points_unit=points_unit,
            confidence=confidence,
            visibility_logits=self.point_visibility(padded, point_heatmaps),
            edges_unit=edges_unit,
            ear_logits=self.ear(torch.cat(pooled, dim=1)).squeeze(1),
            point_heatmaps=point_heatmaps,
            edge_heatmaps=edge_heatmaps,
        )

    def feature_maps(self, images: Tensor) -> dict[str, Tensor]:
        """The encoder's pyramid, with decoder_maps also `dec8`, `dec16`, ... at the mean latent, and `fused`,
        the one of them and the pixels that everything is read from.
        """
        maps = dict(self.encoder.extract_features(images))
        if self.decoder is not None:
            mu, _ = self.encoder.latent(maps["feat3"])
            maps |= self.decoder.features(mu)
        return {**maps, "fused": self.fusion(maps, images)}

    def train(self, mode: bool = True) -> "EarDetector":
        """With freeze_encoder the pretrained part stays in eval mode, batch norms included."""
        super().train(mode)
        if self.freeze_encoder:
            for module in self.pretrained_modules().values():
                module.eval()
        return self

    def pretrained_modules(self) -> dict[str, nn.Module]:
        """What came from the VAE, by name."""
        modules = {"encoder": self.encoder, "decoder": self.decoder}
        modules["fusion"] = self.fusion if self._fusion_is_pretrained else None
        return {name: module for name, module in modules.items() if module is not None}

    def head_modules(self) -> dict[str, nn.Module]:
        """The rest: what starts from random weights, by name."""
        return {
            name: module for name, module in self.named_children() if name not in self.pretrained_modules()
        }

    def _unread_modules(self) -> Iterator[nn.Module]:
        """What came with the VAE and no output depends on: DDP would wait for its gradients."""
        heads = self.encoder.heads()
        yield from heads["logvar"]
        if self.decoder is None:
            yield from heads["mu"]
        else:
            yield self.decoder.to_rgb


class HeatmapHead(nn.Module):
    """(B, width, c, c) -> the same widened by the margin, and (B, maps, c + 2 m, c + 2 m) logits."""

    def __init__(self, width: int, maps: int, margin_cells: int) -> None:
        super().__init__()
        self.margin_cells = margin_cells
        self.step = ResidualStep(width)
        self.to_maps = nn.Sequential(nn.SiLU(), nn.Conv2d(width, maps, 1))

    def forward(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """fused: (B, width, c, c). Returns the widened map and the logits."""
        # Replicated rather than zero, so that what runs out of the crop goes on in the margin.
        padded = self.step(nn.functional.pad(fused, (self.margin_cells,) * 4, mode="replicate"))
        return padded, self.to_maps(padded)


class VisibilityHead(nn.Module):
    """One logit a point, linear in the features under its heatmap."""

    def __init__(self, width: int, points: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(points, width))
        self.bias = nn.Parameter(torch.zeros(points))

    def forward(self, features: Tensor, heatmaps: Tensor) -> Tensor:
        """features: (B, width, h, w), heatmaps: (B, points, h, w) logits. Returns (B, points).

        The heatmaps get no gradient from here: a point must not move to where its visibility is easier to
        tell.
        """
        probabilities = spatial_softmax(heatmaps.detach()).flatten(2).to(features.dtype)
        under = torch.einsum("bkn,bcn->bkc", probabilities, features.flatten(2))
        return (under * self.weight).sum(dim=-1) + self.bias


def _pyramid_channels(vae: Autoencoder, decoder_maps: bool) -> dict[str, int]:
    channels = dict(vae.encoder.map_channels)
    if decoder_maps:
        with torch.no_grad():
            vae.decoder.eval()
            maps = vae.decoder.features(torch.zeros(1, vae.decoder.from_latent.in_features))
            vae.decoder.train()
        channels |= {name: values.shape[1] for name, values in maps.items()}
    return channels
