"""Learning from ears without labels while fine-tuning.

The averaged network reads an ear as it is; the network in training has to find the same points in a view that
is turned, shifted and lit otherwise, where the known warp puts them (Tarvainen & Valpola, Mean teachers,
NeurIPS 2017; a weak and a strong view: Sohn et al., FixMatch, NeurIPS 2020). Deviation: no threshold, a point
counts by its confidence. Where another model has said where the points are (pseudo-labels), these teach at
first, and in the end both half and half.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from teacher.models.heatmaps import heatmap_loss


class WithUnlabelled:
    """Labelled views, and beside each a pair of views of an ear without labels.

    Items: those of LabelledViews, and plain (3, S, S) uint8, moved (3, S, S) uint8 and to_moved (2, 3), px
    of the plain view -> px of the moved one; with pseudo_labelled also told_px (K, 2), px of the plain view,
    and told (K,) uint8, 0 for points that nothing is said of.
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
        taught = {"plain": pair["image"], "moved": pair["second"], "to_moved": pair["to_second"]}
        if self.pseudo_labelled:
            taught |= {"told_px": pair["points_px"], "told": pair["visibility"]}
        return self.labelled[key] | taught


def with_unlabelled(config: Any, labelled: LabelledViews, image_px: int, points: int) -> WithUnlabelled:
    """`labelled` and, beside them, the ears of `config.unlabelled_npy` or `config.pseudo_labelled_npy` as
    they are and augmented.

    config: of teacher.finetune. points: how many pseudo-labels an ear must have. Raises UserError for a
    manifest without ears, or with another number of points.
    """
    path = config.pseudo_labelled_npy or config.unlabelled_npy
    manifest = read_manifest(path)
    if not len(manifest):
        raise UserError(f"{path}: holds no ear.")
    if config.pseudo_labelled_npy is not None:
        require_landmarks(manifest, points, path)
    unmoved = GeometryConfig(flip=0, rotate_deg=0, shift=0, scale=0, box_jitter=0)
    plain = EarCrops(manifest, image_px, geometry=Geometry(unmoved, image_px), seed=config.seed)
    pairs = PairedCrops(plain, Geometry(config.geometry, image_px), Photometry(config.photometry))
    return WithUnlabelled(labelled, pairs, config.pseudo_labelled_npy is not None)


def taught_points(
    points_unit: Tensor, confidence: Tensor, batch: dict[str, Tensor], say: float
) -> tuple[Tensor, Tensor]:
    """What a batch's ears without labels are taught: points (B, K, 2), unit coordinates, weights (B, K).

    points_unit, confidence: the averaged network's reading of the plain views. say: 0 to 1, how far its part
    has grown: alone it weighs so much, beside pseudo-labels (`told_px`) half of that.
    """
    if "told_px" not in batch:
        return points_unit, say * confidence
    told_unit = (batch["told_px"] + 0.5) / batch["plain"].shape[-1]
    told = (batch["told"] > 0) * (1 - say / 2)
    own = confidence * say / 2
    weight = told + own
    part = (own / weight.clamp_min(1e-6)).unsqueeze(-1)
    return part * points_unit + (1 - part) * told_unit, weight


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
    views, and weight: (B, K), 0..1 (`taught_points`); to_moved: (B, 2, 3), px to px; flip: the points under
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
