"""Frames for the detector: labelled ones, others with pseudo-labels or kept maps, held-out ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from configs.errors import UserError
from configs.reading.content import read_json
from data.dataset import Frames, collate_frames
from data.labels import warn_of_measures
from data.loading.datamodule import ear_loader
from data.manifest import Manifest, join_manifests, read_manifest
from data.transforms import FrameAugmentation
from distill.student.batches import FrameBatches, FrameSource
from distill.student.data import VAL_BATCH, TrainingData, open_maps, require_mirrored_view
from distill.student.options import AugmentationOptions, BatchOptions, DistillationOptions, LabelOptions
from distill.student.plan import batch_mix
from distill.student.teacher_targets import rows_within
from distill.teacher_maps.options import ACCEPTANCE


def detector_data(
    train_npy: tuple[Path, ...],
    image_px: int,
    labels: LabelOptions,
    distillation: DistillationOptions,
    batch: BatchOptions,
    augmentation: AugmentationOptions,
    processes: int,
    num_workers: int,
    seed: int,
) -> TrainingData:
    """Frames of image_px. train_npy: the frames of whose ears maps were kept.

    Raises UserError for maps that do not belong to them, and as manifests do.
    """
    train = join_manifests([read_manifest(path) for path in train_npy])
    val = read_manifest(labels.val_npy) if labels.val_npy is not None else None
    if val is None or len(val) == 0:
        raise UserError(f"val_npy is {labels.val_npy}: held-out frames with ears are needed to measure AP.")
    held_out = Frames(val, image_px)
    val_loader = ear_loader(held_out, VAL_BATCH, num_workers, seed, train=False, collate_fn=collate_frames)
    pseudo_labelled = read_pseudo_labelled(distillation)
    with_maps = distillation.distill and (pseudo_labelled is None or distillation.maps is not None)
    kept = open_maps(distillation.maps, train) if with_maps else None
    if kept is not None and augmentation.frame.flip > 0:
        require_mirrored_view(kept, "frames", "flip: 0 in --frame")
    drawn = FrameAugmentation(augmentation.frame, image_px, augmentation.photometry)
    labelled, map_rows = labelled_frames(train, labels, seed)
    if not len(labelled):
        named = labels.labelled_npy or ", ".join(map(str, train_npy))
        raise UserError(
            f"{named}: no ear in any photograph; a detector learns nothing from backgrounds alone."
        )
    warn_of_measures(labelled.image_paths, val)
    if pseudo_labelled is not None:
        pseudo_labelled = without_photographs_of(labelled, pseudo_labelled)
    mix = batch_mix(
        batch.batch_size,
        batch.labelled_share,
        others_have_targets=pseudo_labelled is not None,
        others_have_maps=kept is not None,
        labelled_have_maps=map_rows is not None,
        processes=processes,
    )
    first = FrameSource(Frames(labelled, image_px, drawn, seed), mix.labelled)
    if map_rows is not None:
        first.kept, first.map_rows = kept, map_rows
    second = None
    if mix.others and pseudo_labelled is not None:
        frames = Frames(pseudo_labelled, image_px, drawn, seed + 1)
        second = FrameSource(frames, mix.others, ignored_below=distillation.ignored_below)
        if kept is not None and (rows := rows_within(pseudo_labelled, train)) is not None:
            second.kept, second.map_rows = kept, rows
    elif mix.others:
        second = FrameSource(
            Frames(train, image_px, drawn, seed + 1), mix.others, kept, np.arange(len(train))
        )
    facts = {"labels": len(first.frames), "empty_frames": len(labelled.empty_images)}
    if pseudo_labelled is not None:
        facts["told"] = len(second.frames)
    facts["held_out"] = len(held_out)
    if kept is not None:
        facts["ears_with_maps"] = kept.crops
    return TrainingData(FrameBatches(first, second, seed), mix, val_loader, kept, facts)


def labelled_frames(train: Manifest, labels: LabelOptions, seed: int) -> tuple[Manifest, np.ndarray | None]:
    """The frames whose boxes are labels, and the rows of their ears in `train` (None: they are others)."""
    if labels.labelled_npy is None:
        rows = _rows_of_some(train, labels.labels, seed)
        return train.select(rows, keep_empty_images=True), rows
    labelled = read_manifest(labels.labelled_npy)
    labelled = labelled.select(_rows_of_some(labelled, labels.labels, seed), keep_empty_images=True)
    return labelled, rows_within(labelled, train)


def read_pseudo_labelled(distillation: DistillationOptions) -> Manifest | None:
    """Frames that a detector labelled, where they are trained on."""
    path = distillation.pseudo_labelled_npy
    if not distillation.distill or path is None or distillation.prediction_weight == 0:
        return None
    acceptance = path.parent / ACCEPTANCE
    if acceptance.is_file() and not read_json(acceptance).get("admitted", True):
        print(f"{path}: found by a labeller that is no better than the twin ({ACCEPTANCE}), not trained on")
        return None
    return read_manifest(path)


def without_photographs_of(labelled: Manifest, pseudo_labelled: Manifest) -> Manifest | None:
    """The pseudo-labelled photographs that have no labels; None where all ears are in those that have."""
    known = np.concatenate((labelled.image_paths, labelled.empty_images))
    others = np.flatnonzero(~np.isin(pseudo_labelled.image_paths, known))
    empty_images = np.setdiff1d(pseudo_labelled.empty_images, known)
    if not len(others):
        return None
    return replace(pseudo_labelled.select(others), empty_images=empty_images)


def _rows_of_some(manifest: Manifest, labels: float, seed: int) -> np.ndarray:
    """Rows of the ears in `labels` of the photographs: a count, a fraction below 1, or 0 for all."""
    paths = np.unique(manifest.image_paths)
    count = round(labels * len(paths)) if labels < 1 else int(labels)
    if labels == 0:
        return np.arange(len(manifest))
    if not 1 <= count <= len(paths):
        raise UserError(f"labels={labels}: {count} of {len(paths)} photographs with ears; 1 to all go.")
    chosen = np.random.default_rng([seed, 17]).permutation(paths)[:count]
    return np.flatnonzero(np.isin(manifest.image_paths, chosen))
