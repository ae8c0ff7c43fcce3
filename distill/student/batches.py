"""Training batches by step number: what step 700 sees depends on the seed and 700 alone.

So the order survives a resume, no two workers repeat each other, and a twin without a teacher can be given
as many steps and images.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data import crops
from data.dataset import EarCrops, Frames, sample_seed
from data.manifest import Manifest, scores_of
from distill.student.teacher_targets import TeacherTargets, rows_within
from distill.teacher_maps.numbered_crops import MIRRORED, PLAIN
from distill.teacher_maps.store import KeptMaps

NEVER = 2**62  # a step that no training reaches
MIN_WINDOW_PX = 24  # of an ear's window in the student's frame, three cells at stride 8: the least to match


class EndlessOrder:
    """Rows in an order without end: all of them once, shuffled, then all again, shuffled otherwise."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self._round, self._order = -1, np.empty(0, int)

    def __call__(self, position: int) -> tuple[int, int]:
        """The row at a position, and how often all rows had their turn before."""
        number, place = divmod(position, self.rows)
        if number != self._round:
            self._round = number
            self._order = np.random.default_rng([self.seed, number]).permutation(self.rows)
        return int(self._order[place]), number


@dataclass(frozen=True)
class LabelledPart:
    """Labelled examples of a batch: `per_batch` of them, and from step `whole_from` on all `batch_size`."""

    per_batch: int
    batch_size: int
    whole_from: int

    def positions(self, step: int) -> range:
        """Of a step's labelled examples in their endless order."""
        before = (
            min(step, self.whole_from) * self.per_batch + max(step - self.whole_from, 0) * self.batch_size
        )
        return range(before, before + (self.batch_size if self.whole(step) else self.per_batch))

    def whole(self, step: int) -> bool:
        """Whether the whole batch is labelled."""
        return step >= self.whole_from


class StepBatches(Dataset):
    """Batches by step number, of which a process of several takes its share."""

    _dealt = slice(None)  # which slots of each part of a batch

    def share(self, rank: int, processes: int) -> StepBatches:
        """The same batches, of each part every `processes`-th example from the `rank`-th on."""
        mine = copy.copy(self)
        mine._dealt = slice(rank, None, processes)
        return mine


class CropBatches(StepBatches):
    """Batches of the landmarker, by step: see `distill.student.module.LandmarkerModule` for what they hold.

    labelled: with geometry and photometry, drawn anew each time. taught: ears without labels and what the
    teacher said of them, drawn anew likewise; where it kept maps of the labelled ears too, these come with
    them. The twin has labelled ones alone, as all have from step `labelled_from` on.
    """

    def __init__(
        self,
        labelled: EarCrops,
        labelled_per_batch: int,
        taught: TeacherTargets | None = None,
        taught_per_batch: int = 0,
        seed: int = 0,
        labelled_from: int = NEVER,
    ) -> None:
        self.labelled, self.taught, self.taught_per_batch = labelled, taught, taught_per_batch
        self.part = LabelledPart(labelled_per_batch, labelled_per_batch + taught_per_batch, labelled_from)
        self.seed = seed
        self._labelled_order = EndlessOrder(len(labelled), seed)
        self._taught_order = EndlessOrder(len(taught), seed + 1) if taught else None
        self._taught_rows = rows_within(labelled.manifest, taught.crops.manifest) if taught else None

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        slots = list(enumerate(self.part.positions(step)))[self._dealt]
        items = [self._labelled_item(step, slot, place) for slot, place in slots]
        images = [item["image"] for item in items]
        batch = {name: _stacked(items, name) for name in ("points_px", "visibility")}
        if self.taught_per_batch and not self.part.whole(step):
            taught = [self._taught_item(step, slot) for slot in range(self.taught_per_batch)[self._dealt]]
            images += [item["image"] for item in taught]
            if "trust" in taught[0]:
                batch |= {"predicted_px": _stacked(taught, "points_px"), "trust": _stacked(taught, "trust")}
            items += taught
        mapped = [item for item in items if "maps" in item]
        if mapped:
            batch |= {name: _stacked(mapped, name) for name in ("maps", "map_matrix")}
        return {"image": torch.stack(images), **batch}

    def _labelled_item(self, step: int, slot: int, position: int) -> dict[str, Tensor]:
        row, _ = self._labelled_order(position)
        seeds = self._seeds(step, slot, "geometry", "light")
        item = self.labelled.view(row, *seeds)
        if self._taught_rows is None:
            return item
        return item | self.taught.map_of(int(self._taught_rows[row]), item["matrix"].numpy(), seeds[0])

    def _taught_item(self, step: int, slot: int) -> dict[str, Tensor]:
        row, _ = self._taught_order(step * self.taught_per_batch + slot)
        return self.taught.view(row, *self._seeds(step, slot, "taught geometry", "taught light"))

    def _seeds(self, step: int, slot: int, *parts: str) -> list[int]:
        return [sample_seed(self.seed, step, slot, part) for part in parts]


def _stacked(items: list[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([item[name] for item in items])


@dataclass
class FrameSource:
    """Frames that come `per_batch` a step, and the kept maps of their ears, if any.

    map_rows: (N,) the row of each ear of the frames' manifest in the kept maps. sure_from: of unlabelled
    frames whose boxes a detector found, the score from which on one is an ear; None: the boxes do not teach.
    """

    frames: Frames
    per_batch: int
    kept: KeptMaps | None = None
    map_rows: np.ndarray | None = None
    sure_from: float | None = None

    @cached_property
    def sure(self) -> np.ndarray:
        """(N,) bool: which of the boxes that a detector found are ears."""
        return scores_of(self.frames.manifest) >= self.sure_from


class FrameBatches(StepBatches):
    """Batches of the detector, by step: see `distill.student.module.DetectorModule` for what they hold.

    labelled: frames whose boxes are labels; unlabelled: frames that bring the maps of their ears, or boxes
    that a detector found. All views of a step have one side, a chip's or the letterbox's. From step
    `labelled_from` on all are labelled.
    """

    def __init__(
        self,
        labelled: FrameSource,
        unlabelled: FrameSource | None = None,
        seed: int = 0,
        labelled_from: int = NEVER,
    ) -> None:
        self.sources, self.seed = [labelled, unlabelled] if unlabelled else [labelled], seed
        batch_size = sum(source.per_batch for source in self.sources)
        self.part = LabelledPart(labelled.per_batch, batch_size, labelled_from)
        self._orders = [EndlessOrder(len(source.frames), seed + i) for i, source in enumerate(self.sources)]

    def __getitem__(self, step: int) -> dict[str, Any]:
        images: list[Tensor] = []
        boxes: list[Tensor] = []
        told: list[Tensor] = []
        unsure: list[Tensor] = []
        rois: list[Tensor] = []
        maps: list[np.ndarray] = []
        side_px = self.sources[0].frames.augmentation.side_px(sample_seed(self.seed, step, 0, "side"))
        for source, order in zip(self.sources, self._orders, strict=True):
            for position in self._positions(source, step)[self._dealt]:
                index, turn = order(position)
                item = source.frames.view(index, turn, side_px)
                if source is self.sources[0]:
                    boxes.append(item["boxes_xyxy"])
                elif source.sure_from is not None:
                    sure = torch.from_numpy(source.sure[item["rows"].numpy()])
                    told.append(item["boxes_xyxy"][sure])
                    unsure.append(item["boxes_xyxy"][~sure])
                if source.kept is not None:
                    rows, windows = matched_windows(item, source.frames.manifest, source.kept)
                    rois.append(torch.cat((torch.full((len(rows), 1), len(images)), windows), dim=1))
                    view = MIRRORED if item["flipped"] else PLAIN
                    maps += [source.kept.read(int(source.map_rows[row]), view) for row in rows]
                images.append(item["image"])
        batch: dict[str, Any] = {"image": torch.stack(images), "boxes_xyxy": boxes}
        if told:
            batch |= {"told_xyxy": told, "unsure_xyxy": unsure}
        if maps:
            batch |= {"rois": torch.cat(rois).float(), "maps": torch.from_numpy(np.stack(maps))}
        return batch

    def _positions(self, source: FrameSource, step: int) -> range:
        if source is self.sources[0]:
            return self.part.positions(step)
        count = 0 if self.part.whole(step) else source.per_batch
        return range(step * source.per_batch, step * source.per_batch + count)


def matched_windows(item: dict[str, Any], manifest: Manifest, kept: KeptMaps) -> tuple[list[int], Tensor]:
    """The ears of a frame whose windows the student sees whole and large enough: rows, and windows (n, 4).

    item: of `data.dataset.Frames`. Windows are those that the teacher's crops showed, x1, y1, x2, y2 in px of
    the student's frame, edges. An ear whose window leaves the frame would be matched with what is not there.
    """
    rows = item["rows"].numpy()
    boxes = crop_windows(manifest.boxes_xyxy[rows], kept.settings["view"]["margin"])
    windows = crops.apply_to_boxes(item["matrix"].numpy(), boxes)
    side_px = item["image"].shape[-1]
    whole = (windows[:, :2] >= 0).all(axis=1) & (windows[:, 2:] <= side_px).all(axis=1)
    large = windows[:, 2] - windows[:, 0] >= MIN_WINDOW_PX
    return [int(row) for row in rows[whole & large]], torch.from_numpy(windows[whole & large])


def crop_windows(boxes_xyxy: np.ndarray, margin: float) -> np.ndarray:
    """The square windows (N, 4) that `data.crops.crop_matrix` cuts out for boxes (N, 4); px, edges."""
    centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    half = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(axis=1, keepdims=True) * (1 + 2 * margin) / 2
    return np.concatenate([centres - half, centres + half], axis=1)
