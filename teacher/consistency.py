"""Learning from ears without labels while fine-tuning: the averaged network teaches the one in training.

The averaged weights read an ear as it is; the network in training has to find the same points in a view that
is turned, shifted and lit otherwise, where the known warp puts them (Tarvainen & Valpola, Mean teachers,
NeurIPS 2017; a weak and a strong view: Sohn et al., FixMatch, NeurIPS 2020). Deviation: no threshold, a point
counts by its confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from configs.errors import UserError
from data.dataset import EarCrops
from data.manifest import read_manifest
from data.pairs import PairedCrops
from data.transforms import Geometry, GeometryConfig, Photometry
from teacher.finetune_data import LabelledViews
from teacher.heatmaps import heatmap_loss

VISIBLE = 2  # COCO's visibility, as which a taught point enters the loss


class WithUnlabelled:
    """Labelled views, and beside each a pair of views of an ear without labels.

    Items: those of LabelledViews, and plain (3, S, S) uint8, moved (3, S, S) uint8 and to_moved (2, 3), px
    of the plain view -> px of the moved one.
    """

    def __init__(self, labelled: LabelledViews, pairs: PairedCrops) -> None:
        self.labelled, self.pairs = labelled, pairs

    def __len__(self) -> int:
        """Views an epoch: of the labelled ears."""
        return len(self.labelled)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        """key: (epoch, index); the ears without labels are gone through in turn, whatever the epoch."""
        epoch, index = key
        turn, row = divmod(epoch * len(self) + index, len(self.pairs))
        pair = self.pairs[(turn, row)]
        taught = {"plain": pair["image"], "moved": pair["second"], "to_moved": pair["to_second"]}
        return self.labelled[key] | taught


def with_unlabelled(config: Any, labelled: LabelledViews, image_px: int) -> WithUnlabelled:
    """`labelled` and, beside them, the ears of `config.unlabelled_npy` as they are and augmented.

    config: of teacher.finetune. Raises UserError for a manifest without ears.
    """
    manifest = read_manifest(config.unlabelled_npy)
    if not len(manifest):
        raise UserError(f"{config.unlabelled_npy}: holds no ear; leave out unlabelled_npy.")
    unmoved = GeometryConfig(flip=0, rotate_deg=0, shift=0, scale=0, box_jitter=0)
    plain = EarCrops(manifest, image_px, geometry=Geometry(unmoved, image_px), seed=config.seed)
    return WithUnlabelled(
        labelled, PairedCrops(plain, Geometry(config.geometry, image_px), Photometry(config.photometry))
    )


def consistency_loss(
    heatmaps: Tensor,
    points_unit: Tensor,
    confidence: Tensor,
    to_moved: Tensor,
    image_px: int,
    flip: Sequence[int],
    margin_cells: int,
) -> Tensor:
    """Mean of `teacher.heatmaps.heatmap_loss` of the moved views against points read in the plain ones.

    heatmaps: (B, K, h, w) logits of the moved views; points_unit: (B, K, 2) and confidence: (B, K), 0..1,
    read in the plain views; to_moved: (B, 2, 3), px to px; flip: the points under mirroring. A scalar: points
    of little confidence make it small.
    """
    points_px = points_unit * image_px - 0.5
    moved_px = points_px @ to_moved[:, :, :2].transpose(1, 2) + to_moved[:, None, :, 2]
    mirrored = torch.linalg.det(to_moved[:, :, :2]) < 0
    moved_px[mirrored] = moved_px[mirrored][:, list(flip)]
    weight = confidence.clone()
    weight[mirrored] = weight[mirrored][:, list(flip)]
    visibility = torch.full_like(weight, VISIBLE)
    loss = heatmap_loss(
        heatmaps, (moved_px + 0.5) / image_px, visibility, margin_cells=margin_cells, weight=weight
    )
    return weight.mean() * loss  # the loss is a weighted mean, whatever its weights add up to


def ramp(progress: float, warmup: float) -> float:
    """Factor of the consistency loss, linear from 0 to 1 over the first `warmup` of a training."""
    return min(progress / warmup, 1.0) if warmup > 0 else 1.0
