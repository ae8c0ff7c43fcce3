"""Learning from ears without labels while fine-tuning.

The averaged network reads an ear as it is; the network in training has to find the same points in a view that
is turned, shifted and lit otherwise, where the known warp puts them (Tarvainen & Valpola, Mean teachers,
NeurIPS 2017; a weak and a strong view: Sohn et al., FixMatch, NeurIPS 2020). Deviation: no threshold, a point
counts by its confidence. Where another model has predicted the points (pseudo-labels), those are the targets
at first, and in the end both count half.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from configs.errors import UserError
from data.augmentation import GeometryConfig
from data.dataset import EarCrops
from data.loading.pairs import PairedCrops
from data.manifest import VISIBLE, read_manifest, require_landmarks
from data.transforms import Geometry, Photometry
from teacher.detector_training.data import LabelledViews
from teacher.detector_training.options import ViewOptions
from teacher.models.heatmaps import heatmap_loss


class WithUnlabelled:
    """Labelled views, and beside each a pair of views of an ear without labels.

    Items: those of LabelledViews, and plain (3, S, S) uint8, moved (3, S, S) uint8 and to_moved (2, 3), px
    of the plain view -> px of the moved one; with pseudo_labelled also pseudo_px (K, 2), px of the plain
    view, and pseudo_visibility (K,) uint8, 0 for points without a pseudo-label.
    """

    def __init__(self, labelled: LabelledViews, pairs: PairedCrops, pseudo_labelled: bool = False) -> None:
        self.labelled, self.pairs, self.pseudo_labelled = labelled, pairs, pseudo_labelled

    def __len__(self) -> int:
        """Views an epoch: of the labelled ears."""
        return len(self.labelled)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        """key: (epoch, index); the ears without labels are gone through in turn, whatever the epoch."""
        epoch, index = key
        turn, row = divmod(epoch * len(self) + index, len(self.pairs))
        pair = self.pairs[(turn, row)]
        unlabelled = {"plain": pair["image"], "moved": pair["second"], "to_moved": pair["to_second"]}
        if self.pseudo_labelled:
            unlabelled |= {"pseudo_px": pair["points_px"], "pseudo_visibility": pair["visibility"]}
        return self.labelled[key] | unlabelled


def with_unlabelled(
    labelled: LabelledViews, npy: Path, pseudo_labelled: bool, views: ViewOptions, image_px: int, seed: int
) -> WithUnlabelled:
    """`labelled` and, beside them, the ears of the manifest `npy` as they are and augmented.

    pseudo_labelled: with the points that the manifest has. Raises UserError for a manifest without ears, of
    ears that are cut otherwise or, with pseudo_labelled, without points.
    """
    manifest = read_manifest(npy)
    if not len(manifest):
        raise UserError(f"{npy}: holds no ear.")
    crops = labelled.ears.manifest.crops
    if pseudo_labelled:
        require_landmarks(manifest, crops.num_landmarks, npy)
    manifest.crops.require_same(crops, f"{npy}", "the manifest of labelled ears")
    unmoved = GeometryConfig(flip=0, rotate_deg=0, shift=0, scale=0, box_jitter=0)
    plain = EarCrops(manifest, image_px, geometry=Geometry(unmoved, image_px), seed=seed)
    pairs = PairedCrops(plain, Geometry(views.geometry, image_px), Photometry(views.photometry))
    return WithUnlabelled(labelled, pairs, pseudo_labelled)


def points_to_find(
    points_unit: Tensor, confidence: Tensor, batch: dict[str, Tensor], growth: float
) -> tuple[Tensor, Tensor]:
    """Where the points of a batch's ears without labels are taken to be: points (B, K, 2), unit coordinates,
    and weights (B, K).

    points_unit, confidence: what the averaged network predicts for the plain views. growth: 0 to 1, how far
    its part has grown: alone it weighs so much, beside pseudo-labels (`pseudo_px`) half of that.
    """
    if "pseudo_px" not in batch:
        return points_unit, growth * confidence
    pseudo_unit = (batch["pseudo_px"] + 0.5) / batch["plain"].shape[-1]
    pseudo = (batch["pseudo_visibility"] > 0) * (1 - growth / 2)
    own = confidence * growth / 2
    weight = pseudo + own
    part = (own / weight.clamp_min(1e-6)).unsqueeze(-1)
    return part * points_unit + (1 - part) * pseudo_unit, weight


def consistency_loss(
    heatmaps: Tensor,
    points_unit: Tensor,
    weight: Tensor,
    to_moved: Tensor,
    image_px: int,
    flip: Sequence[int],
    margin_cells: int,
) -> Tensor:
    """Mean of `teacher.models.heatmaps.heatmap_loss` of the moved views against points read in the plain
    ones.

    heatmaps: (B, K, h, w) logits of the moved views; points_unit: (B, K, 2), where they lie in the plain
    views, and weight: (B, K), 0..1 (`points_to_find`); to_moved: (B, 2, 3), px to px; flip: the points under
    mirroring. A scalar: points of little weight make it small.
    """
    points_px = points_unit * image_px - 0.5
    moved_px = points_px @ to_moved[:, :, :2].transpose(1, 2) + to_moved[:, None, :, 2]
    mirrored = torch.linalg.det(to_moved[:, :, :2]) < 0
    moved_px = torch.where(mirrored[:, None, None], moved_px[:, list(flip)], moved_px)
    weight = torch.where(mirrored[:, None], weight[:, list(flip)], weight)
    visibility = torch.full_like(weight, VISIBLE)
    loss = heatmap_loss(
        heatmaps, (moved_px + 0.5) / image_px, visibility, margin_cells=margin_cells, weight=weight
    )
    return weight.mean() * loss  # the loss is a weighted mean, whatever its weights add up to


def ramp(progress: float, warmup: float) -> float:
    """How far the averaged network's part has grown: from 0 to 1 over the first `warmup` of a training."""
    return min(progress / warmup, 1.0) if warmup > 0 else 1.0
