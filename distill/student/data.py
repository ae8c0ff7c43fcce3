"""What a student is trained on: batches with kept maps or without, and the held-out set, from manifests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from configs.errors import UserError
from data.dataset import EarCrops, Frames, collate_frames
from data.labels import choose_labels
from data.landmarks import load_scheme
from data.loading.datamodule import ear_loader
from data.manifest import Manifest, fingerprint, join_manifests, read_manifest
from data.transforms import FrameAugmentation, Geometry, Photometry
from distill.student.batches import CropBatches, FrameBatches, FrameSource
from distill.student.teacher_targets import TeacherTargets, rows_within
from distill.teacher_maps.numbered_crops import NumberedCrops, ViewSettings, check_views, read_ears
from distill.teacher_maps.store import KeptMaps

if TYPE_CHECKING:
    from distill.train import Config

VAL_BATCH = 32


@dataclass
class TrainingData:
    """Batches by step, the held-out set as a loader, the kept maps (None for a twin), and facts to report.

    examples: how many crops or frames one epoch has, for --epochs.
    """

    batches: Dataset
    val_loader: DataLoader
    kept: KeptMaps | None
    examples: int
    facts: dict[str, Any] = field(default_factory=dict)


def build_landmarker_material(config: Config, image_px: int) -> TrainingData:
    """Crops. Raises UserError for maps that do not belong to the crops, and as manifests and labels do."""
    scheme, photometry = load_scheme(config.scheme), Photometry(config.photometry)
    if config.labelled_npy is None:
        raise UserError("the landmarker needs labelled_npy, a manifest with landmarks.")
    chosen = choose_labels(config.labelled_npy, config.val_npy, config.labels, len(scheme), config.seed)
    unlabelled = read_ears(config.train_npy, *config.more_train_npy)
    geometry = Geometry(config.geometry, image_px)
    labelled = EarCrops(chosen.train, image_px, geometry=geometry, photometry=photometry, scheme=scheme)
    val_loader = ear_loader(
        EarCrops(chosen.held_out, image_px), VAL_BATCH, config.num_workers, config.seed, train=False
    )
    facts = {"labels": len(chosen.train), "held_out": len(chosen.held_out)}
    kept = taught = None
    if config.distill:
        kept = _open_maps(config.maps, "maps", unlabelled)
        taught = _taught_ears(config, kept, unlabelled, geometry, photometry, np.asarray(scheme.flip))
        facts |= {"crops_with_maps": kept.crops, "views": kept.views}
    if taught is not None and taught.trust is not None:
        facts["trusted_share"] = taught.trusted_share
    counts = _crop_counts(config, taught, chosen.train, unlabelled)
    last = _labelled_from(config, len(unlabelled))
    batches = CropBatches(labelled, counts[0], taught, counts[1], config.seed, last)
    return TrainingData(batches, val_loader, kept, len(unlabelled), facts)


def build_detector_material(config: Config, image_px: int) -> TrainingData:
    """Frames. Raises UserError for maps that do not belong to them, and as manifests do."""
    train = join_manifests([read_manifest(path) for path in (config.train_npy, *config.more_train_npy)])
    val = read_manifest(config.val_npy) if config.val_npy is not None else None
    if val is None or len(val) == 0:
        raise UserError(f"val_npy is {config.val_npy}: held-out frames with ears are needed to measure AP.")
    val_loader = ear_loader(
        Frames(val, image_px),
        VAL_BATCH,
        config.num_workers,
        config.seed,
        train=False,
        collate_fn=collate_frames,
    )
    told = _told_frames(config)
    with_maps = config.distill and (told is None or config.frame_maps is not None)
    kept = _open_maps(config.frame_maps, "frame_maps", train) if with_maps else None
    if kept is not None and config.frame.flip > 0 and kept.views < 2:
        raise _no_mirrored_view(config.frame_maps, "frames", "--frame.flip 0")
    augmentation = FrameAugmentation(config.frame, image_px, config.photometry)
    labelled, map_rows = _split_frames(config, train)
    if told is not None:
        told = _not_labelled(told, labelled)
    labelled_count, rest_count = _shares(config, config.labelled_share)
    if told is None and (kept is None or map_rows is not None):
        labelled_count, rest_count = config.batch_size, 0  # maps alone take no labelled frame's place
    first = FrameSource(Frames(labelled, image_px, augmentation, config.seed), labelled_count)
    if map_rows is not None:
        first.kept, first.map_rows = kept, map_rows
    second = None
    if rest_count:
        frames = Frames(train if told is None else told, image_px, augmentation, config.seed + 1)
        maps = (kept, np.arange(len(train))) if told is None else (None, None)
        second = FrameSource(frames, rest_count, *maps, None if told is None else config.sure_from)
    facts = {"labels": len(first.frames), "empty_frames": len(labelled.empty_images)}
    if told is not None:
        facts["told"] = len(second.frames)
    facts["held_out"] = len(val_loader.dataset)
    if kept is not None:
        facts["ears_with_maps"] = kept.crops
    examples = len(Frames(train))
    batches = FrameBatches(first, second, config.seed, _labelled_from(config, examples))
    return TrainingData(batches, val_loader, kept, examples, facts)


def plan_steps(config: Config, examples: int) -> tuple[int, int]:
    """Rounds, and steps a round. A twin with the same settings gets the same."""
    steps = max(1, round(config.epochs * examples / config.batch_size)) if config.epochs else config.steps
    rounds = min(config.rounds, steps)
    return rounds, max(1, round(steps / rounds))


def _labelled_from(config: Config, examples: int) -> int:
    """The first step of the last phase, whose batches are labelled alone."""
    rounds, steps_per_round = plan_steps(config, examples)
    return round(rounds * steps_per_round * (1 - config.labelled_last))


def _taught_ears(
    config: Config,
    kept: KeptMaps,
    unlabelled: Manifest,
    geometry: Geometry,
    photometry: Photometry,
    flip: np.ndarray,
) -> TeacherTargets | None:
    """The unlabelled ears with what the teacher said of them; None where neither points nor maps are used."""
    settings = ViewSettings.from_dict(kept.settings["view"])
    if settings.out_px != geometry.out_px:
        raise UserError(
            f"{config.maps}: the maps are of crops of {settings.out_px} px, the student takes "
            f"{geometry.out_px}. Keep them with --crop-px {geometry.out_px}, or set image_px in "
            "--student-options."
        )
    views = NumberedCrops(unlabelled, settings)
    check_views(kept, views)
    with_points = config.prediction_weight > 0 and kept.predictions is not None
    with_maps = config.map_weight > 0
    if with_maps and config.geometry.flip > 0 and kept.views < 2:
        raise _no_mirrored_view(config.maps, "crops", "--geometry.flip 0")
    if not with_points and not with_maps:
        return None
    limit = config.agreement_limit if with_points else None
    return TeacherTargets(kept, views, geometry, photometry, flip, limit, with_maps)


def _crop_counts(
    config: Config, taught: TeacherTargets | None, labelled: Manifest, unlabelled: Manifest
) -> tuple[int, int]:
    """Labelled and other crops of a batch. Crops of which maps alone are known take no labelled one's place,
    unless no labelled ear has a map.
    """
    if taught is None:
        return config.batch_size, 0
    among_them = rows_within(labelled, unlabelled) is not None
    if among_them and not taught.teaches_points:
        return config.batch_size, 0
    least = len(labelled) / len(unlabelled) if among_them else 0.0
    return _shares(config, max(config.labelled_share, least))


def _split_frames(config: Config, train: Manifest) -> tuple[Manifest, np.ndarray | None]:
    """The frames whose boxes are labels, and the rows of their ears in `train` (None: they are others)."""
    if config.labelled_npy is None:
        rows = _rows_of_some(train, config)
        return train.select(rows, keep_empty_images=True), rows
    labelled = read_manifest(config.labelled_npy)
    labelled = labelled.select(_rows_of_some(labelled, config), keep_empty_images=True)
    return labelled, rows_within(labelled, train)


def _told_frames(config: Config) -> Manifest | None:
    """Frames that a detector labelled, where they are to teach."""
    if not config.distill or config.pseudo_labelled_npy is None or config.prediction_weight == 0:
        return None
    return read_manifest(config.pseudo_labelled_npy)


def _not_labelled(told: Manifest, labelled: Manifest) -> Manifest | None:
    """The photographs that have no labels; None where all ears are in those that have."""
    known = np.concatenate((labelled.image_paths, labelled.empty_images))
    others = np.flatnonzero(~np.isin(told.image_paths, known))
    empty_images = np.setdiff1d(told.empty_images, known)
    return replace(told.select(others), empty_images=empty_images) if len(others) else None


def _rows_of_some(manifest: Manifest, config: Config) -> np.ndarray:
    """Rows of the ears in `config.labels` of the photographs: a count, a fraction below 1, or 0 for all."""
    paths = np.unique(manifest.image_paths)
    count = round(config.labels * len(paths)) if config.labels < 1 else int(config.labels)
    if config.labels == 0:
        return np.arange(len(manifest))
    if not 1 <= count <= len(paths):
        raise UserError(
            f"labels={config.labels}: {count} of {len(paths)} photographs with ears; 1 to all go."
        )
    chosen = np.random.default_rng([config.seed, 17]).permutation(paths)[:count]
    return np.flatnonzero(np.isin(manifest.image_paths, chosen))


def _open_maps(folder: Path | None, name: str, manifest: Manifest) -> KeptMaps:
    if folder is None:
        raise UserError(
            f"{name} is not given: keep the teacher's maps with distill.cache and give their folder, or "
            "train the twin without a teacher with --no-distill."
        )
    kept = KeptMaps(folder)
    kept.require({"manifest_sha256": fingerprint(manifest)}, "the ears of train_npy")
    kept.verify()
    return kept


def _no_mirrored_view(folder: Path | None, what: str, instead: str) -> UserError:
    return UserError(
        f"{folder}: has no mirrored view, but {what} are mirrored. Keep --views 2, or set {instead}."
    )


def _shares(config: Config, labelled_share: float) -> tuple[int, int]:
    """Labelled and other examples of a batch, at least one of each for each process, the same for all."""
    processes = config.processes
    labelled = processes * round(config.batch_size * labelled_share / processes)
    labelled = min(max(labelled, processes), config.batch_size - processes)
    return labelled, config.batch_size - labelled
