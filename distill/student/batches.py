"""What a student's batches are made of, by step number: crops for the landmarker, frames for the detector."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data import crops
from data.dataset import EarCrops, Frames, sample_seed
from data.loading.steps import EndlessOrder, StepBatches, positions
from data.manifest import Manifest, scores_of
from distill.student.plan import BatchMix
from distill.student.pseudo_points import PseudoLabelledEars
from distill.student.teacher_targets import TeacherTargets, rows_within
from distill.teacher_maps.numbered_crops import MIRRORED, PLAIN
from distill.teacher_maps.store import KeptMaps

UPRIGHT = 1e-4  # of a matrix: the largest share of y in x of views that are not turned
NOT_EARS_SHARE = 0.25  # of a batch's ears, added to them: the points keep the steps that they had
MIN_WINDOW_PX = 24  # of an ear's window in the student's frame, three cells at stride 8: the least to match


class CropBatches(StepBatches):
    """Batches of the landmarker, by step: see `distill.student.module.LandmarkerModule` for what they hold.

    labelled: with geometry and photometry, drawn anew each time. others: ears without labels, with the
    teacher's predictions and maps, drawn anew likewise; where maps of the labelled ears were kept too, these
    come with them. The twin has labelled ones alone. `mix`: how many of each. not_ears: crops that show none,
    of which each batch has NOT_EARS_SHARE of its size on top.
    """

    def __init__(
        self,
        labelled: EarCrops,
        mix: BatchMix,
        others: TeacherTargets | PseudoLabelledEars | None = None,
        seed: int = 0,
        not_ears: EarCrops | None = None,
    ) -> None:
        self.labelled, self.others, self.mix, self.seed = labelled, others, mix, seed
        self.not_ears = not_ears
        self._not_ears_order = EndlessOrder(len(not_ears), seed + 2) if not_ears else None
        self._labelled_order = EndlessOrder(len(labelled), seed)
        self._others_order = EndlessOrder(len(others), seed + 1) if others else None
        self._rows_in_others = rows_within(labelled.manifest, others.crops.manifest) if others else None

    def __getitem__(self, step: int) -> dict[str, Any]:
        slots = list(enumerate(positions(step, self.mix.labelled)))[self._dealt]
        items = [self._labelled_item(step, slot, place) for slot, place in slots]
        images = [item["image"] for item in items]
        batch = {name: _stacked(items, name) for name in ("points_px", "visibility")}
        if self.mix.others:
            slots = list(enumerate(positions(step, self.mix.others)))[self._dealt]
            others = [self._other_item(step, slot, place) for slot, place in slots]
            images += [item["image"] for item in others]
            if "trust" in others[0]:
                batch |= {"predicted_px": _stacked(others, "points_px"), "trust": _stacked(others, "trust")}
            items += others
        mapped = [item for item in items if "maps" in item]
        if mapped:
            batch |= {name: _stacked(mapped, name) for name in ("maps", "map_matrix")}
        if self.not_ears:
            count = round(NOT_EARS_SHARE * self.mix.batch_size)
            slots = list(enumerate(positions(step, count)))[self._dealt]
            images += [self._without_ear(step, slot, place) for slot, place in slots]
            batch["not_ears"] = len(slots)
        return {"image": torch.stack(images), **batch}

    def _without_ear(self, step: int, slot: int, position: int) -> Tensor:
        row, _ = self._not_ears_order(position)
        return self.not_ears.view(row, *self._seeds(step, slot, "no ear geometry", "no ear light"))["image"]

    def _labelled_item(self, step: int, slot: int, position: int) -> dict[str, Tensor]:
        row, _ = self._labelled_order(position)
        seeds = self._seeds(step, slot, "geometry", "light")
        item = self.labelled.view(row, *seeds)
        if self._rows_in_others is None:
            return item
        return item | self.others.map_of(int(self._rows_in_others[row]), item["matrix"].numpy(), seeds[0])

    def _other_item(self, step: int, slot: int, position: int) -> dict[str, Tensor]:
        row, _ = self._others_order(position)
        return self.others.view(row, *self._seeds(step, slot, "taught geometry", "taught light"))

    def _seeds(self, step: int, slot: int, *parts: str) -> list[int]:
        """Seeds of what is drawn for a slot; the names of the parts are those of the first version."""
        return [sample_seed(self.seed, step, slot, part) for part in parts]


def _stacked(items: list[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([item[name] for item in items])


@dataclass
class FrameSource:
    """Frames that come `per_batch` a step, and the kept maps of their ears, if any.

    map_rows: (N,) the row of each ear of the frames' manifest in the kept maps. ignored_below: of frames
    whose boxes a detector found, the score below which a box is ignored; None: the boxes are not trained on.
    """

    frames: Frames
    per_batch: int
    kept: KeptMaps | None = None
    map_rows: np.ndarray | None = None
    ignored_below: float | None = None

    @cached_property
    def counts_as_ear(self) -> np.ndarray:
        """(N,) bool: which of the boxes that a detector found are trained on."""
        return scores_of(self.frames.manifest) >= self.ignored_below


class FrameBatches(StepBatches):
    """Batches of the detector, by step: see `distill.student.module.DetectorModule` for what they hold.

    labelled: frames whose boxes are labels; others: frames that bring the maps of their ears, or boxes that a
    detector found. All views of a step have one side, a chip's or the letterbox's.
    """

    def __init__(self, labelled: FrameSource, others: FrameSource | None = None, seed: int = 0) -> None:
        self.sources, self.seed = [labelled, others] if others else [labelled], seed
        self._orders = [EndlessOrder(len(source.frames), seed + i) for i, source in enumerate(self.sources)]

    def __getitem__(self, step: int) -> dict[str, Any]:
        images: list[Tensor] = []
        boxes: list[Tensor] = []
        pseudo_boxes: list[Tensor] = []
        ignored_boxes: list[Tensor] = []
        rois: list[Tensor] = []
        maps: list[np.ndarray] = []
        side_px = self.sources[0].frames.augmentation.side_px(sample_seed(self.seed, step, 0, "side"))
        for source, order in zip(self.sources, self._orders, strict=True):
            for position in positions(step, source.per_batch)[self._dealt]:
                index, turn = order(position)
                item = source.frames.view(index, turn, side_px)
                if source is self.sources[0]:
                    boxes.append(item["boxes_xyxy"])
                elif source.ignored_below is not None:
                    counts = torch.from_numpy(source.counts_as_ear[item["rows"].numpy()])
                    pseudo_boxes.append(item["boxes_xyxy"][counts])
                    ignored_boxes.append(item["boxes_xyxy"][~counts])
                if source.kept is not None:
                    rows, windows = matched_windows(item, source.frames.manifest, source.kept)
                    rois.append(torch.cat((torch.full((len(rows), 1), len(images)), windows), dim=1))
                    view = MIRRORED if item["flipped"] else PLAIN
                    maps += [source.kept.read(int(source.map_rows[row]), view) for row in rows]
                images.append(item["image"])
        batch: dict[str, Any] = {"image": torch.stack(images), "boxes_xyxy": boxes}
        if pseudo_boxes:
            batch |= {"pseudo_boxes_xyxy": pseudo_boxes, "ignored_boxes_xyxy": ignored_boxes}
        if maps:
            batch |= {"rois": torch.cat(rois).float(), "maps": torch.from_numpy(np.stack(maps))}
        return batch


def matched_windows(item: dict[str, Any], manifest: Manifest, kept: KeptMaps) -> tuple[list[int], Tensor]:
    """The ears of a frame whose windows the student sees whole and large enough: rows, and windows (n, 4).

    item: of `data.dataset.Frames`. Windows are those that the teacher's crops showed, x1, y1, x2, y2 in px of
    the student's frame, edges. An ear whose window leaves the frame would be matched with what is not there,
    and one in a turned view with a map that is upright.
    """
    if abs(item["matrix"][0, 1]) > UPRIGHT:
        return [], torch.empty(0, 4)
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
