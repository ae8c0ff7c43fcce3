"""What the frame teacher is trained on: views of photographs, the same number of each manifest a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from data.dataset import Frames, sample_seed
from data.loading.steps import EndlessOrder, StepBatches, positions
from data.manifest import Manifest, scores_of
from data.transforms import FrameAugmentation

SURE = 0.5  # score of a box that a detector found, below which it is neither an ear nor background


class FrameViews(StepBatches):
    """Batches by step: image (B, 3, S, S) uint8; boxes_xyxy and ignored_boxes_xyxy, B tensors (n, 4) px each.

    Each manifest brings its share of a batch, however long it is. All views of a step have one side, a
    chip's or the letterbox's.
    """

    def __init__(
        self,
        manifests: Sequence[Manifest],
        image_px: int,
        augmentation: FrameAugmentation,
        batch_size: int,
        seed: int,
    ) -> None:
        self.augmentation, self.seed = augmentation, seed
        self.sources = [
            Frames(manifest, image_px, augmentation, seed + number)
            for number, manifest in enumerate(manifests)
        ]
        self._sure = [scores_of(manifest) >= SURE for manifest in manifests]
        self._orders = [EndlessOrder(len(frames), seed + i) for i, frames in enumerate(self.sources)]
        self.shares = [
            batch_size // len(manifests) + (number < batch_size % len(manifests))
            for number in range(len(manifests))
        ]

    def __getitem__(self, step: int) -> dict[str, Any]:
        side_px = self.augmentation.side_px(sample_seed(self.seed, step, 0, "side"))
        batch: dict[str, list] = {"image": [], "boxes_xyxy": [], "ignored_boxes_xyxy": []}
        for frames, order, share, sure in zip(
            self.sources, self._orders, self.shares, self._sure, strict=True
        ):
            for position in positions(step, share)[self._dealt]:
                view = frames.view(*order(position), side_px)
                counts = torch.from_numpy(sure[view["rows"].numpy()])
                batch["image"].append(view["image"])
                batch["boxes_xyxy"].append(view["boxes_xyxy"][counts])
                batch["ignored_boxes_xyxy"].append(view["boxes_xyxy"][~counts])
        return batch | {"image": torch.stack(batch["image"])}
