"""Crops for the landmarker: labelled ones, others with the teacher's predictions and maps, held-out ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from configs.errors import UserError
from data.dataset import EarCrops
from data.labels import choose_labels
from data.loading.datamodule import ear_loader
from data.manifest import Manifest, join_manifests, read_manifest
from data.transforms import Geometry, Photometry
from distill.student.batches import CropBatches
from distill.student.data import VAL_BATCH, TrainingData, open_maps, require_mirrored_view
from distill.student.options import AugmentationOptions, BatchOptions, DistillationOptions, LabelOptions
from distill.student.plan import batch_mix
from distill.student.pseudo_points import PseudoLabelledEars
from distill.student.teacher_targets import TeacherTargets, rows_within
from distill.teacher_maps.numbered_crops import CropNumbering, NumberedCrops, check_pixels, read_ears
from distill.teacher_maps.store import KeptMaps


def landmarker_data(
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
    """Crops of image_px. train_npy: the ears whose maps were kept.

    Raises UserError for maps that do not belong to the crops, and as manifests and labels do. All manifests
    have the same crop settings (`distill.student.data.shared_crops`).
    """
    if labels.labelled_npy is None:
        raise UserError("the landmarker needs labelled_npy, a manifest with landmarks.")
    unlabelled = read_ears(*train_npy)
    points = unlabelled.crops.num_landmarks
    chosen = choose_labels(labels.labelled_npy, labels.val_npy, labels.labels, points, seed)
    geometry, photometry = Geometry(augmentation.geometry, image_px), Photometry(augmentation.photometry)
    labelled = EarCrops(chosen.train, image_px, geometry=geometry, photometry=photometry)
    val_loader = ear_loader(EarCrops(chosen.held_out, image_px), VAL_BATCH, num_workers, seed, train=False)
    facts = {"labels": len(chosen.train), "held_out": len(chosen.held_out)}
    kept = others = None
    path = distillation.pseudo_labelled_npy
    if distillation.distill and path is not None and distillation.maps is None:
        read = read_manifest(path, num_landmarks=points)
        others = PseudoLabelledEars(EarCrops(read, image_px, geometry=geometry, photometry=photometry))
        facts["told"] = len(others)
    elif distillation.distill:
        if path is not None:
            raise UserError(f"maps and pseudo_labelled_npy ({path}): the landmarker takes one of them.")
        kept = open_maps(distillation.maps, unlabelled)
        numbered = numbered_crops(kept, unlabelled, image_px)
        others = others_with_targets(kept, numbered, geometry, photometry, distillation)
        facts |= {"crops_with_maps": kept.crops, "views": kept.views}
    if others is not None and others.trust is not None:
        facts["trusted_share"] = others.trusted_share
    among_them = others is not None and rows_within(chosen.train, others.crops.manifest) is not None
    mix = batch_mix(
        batch.batch_size,
        batch.labelled_share,
        others_have_targets=others is not None and others.has_targets,
        others_have_maps=others is not None and others.with_maps,
        labelled_have_maps=among_them,
        labelled_part=len(chosen.train) / len(others) if among_them else 0.0,
        processes=processes,
    )
    not_ears = None
    if labels.not_ears_npy:
        read = join_manifests([read_manifest(path) for path in labels.not_ears_npy])
        not_ears = EarCrops(read, image_px, geometry=geometry, photometry=photometry)
        facts["not_ears"] = len(not_ears)
    return TrainingData(CropBatches(labelled, mix, others, seed, not_ears), mix, val_loader, kept, facts)


def numbered_crops(kept: KeptMaps, ears: Manifest, image_px: int) -> NumberedCrops:
    """The crops that kept maps are of. Raises UserError where the student takes others."""
    numbering = CropNumbering.from_dict(kept.settings["view"])
    if numbering.out_px != image_px:
        raise UserError(
            f"{kept.folder}: the maps are of crops of {numbering.out_px} px, the student takes {image_px}. "
            f"Set image_px: {numbering.out_px} in --student-options."
        )
    numbered = NumberedCrops(ears, numbering)
    check_pixels(kept, numbered)
    return numbered


def others_with_targets(
    kept: KeptMaps,
    numbered: NumberedCrops,
    geometry: Geometry,
    photometry: Photometry,
    distillation: DistillationOptions,
) -> TeacherTargets | None:
    """The ears with the teacher's predictions and maps; None where neither is used."""
    with_points = distillation.prediction_weight > 0 and kept.predictions is not None
    with_maps = distillation.map_weight > 0
    if with_maps and geometry.config.flip > 0:
        require_mirrored_view(kept, "crops", "flip: 0 in --geometry")
    if not with_points and not with_maps:
        return None
    flip = np.asarray(numbered.manifest.crops.scheme.flip)
    limit = distillation.agreement_limit if with_points else None
    return TeacherTargets(kept, numbered, geometry, photometry, flip, limit, with_maps)
