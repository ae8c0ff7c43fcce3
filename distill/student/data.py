"""What a student is trained on; built by `landmarker_data` and `detector_data`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from configs.errors import UserError
from data.crop_settings import CropSettings
from data.manifest import Manifest, fingerprint, read_manifest
from distill.student.batches import CropBatches, FrameBatches
from distill.student.options import DistillationOptions
from distill.student.plan import BatchMix
from distill.teacher_maps.store import KeptMaps

VAL_BATCH = 32


@dataclass(frozen=True)
class TrainingData:
    """Batches by step and what they are made of, the held-out set as a loader, the kept maps (None for a
    twin), and facts for metrics.json ("told": frames or ears with pseudo-labels).
    """

    batches: CropBatches | FrameBatches
    mix: BatchMix
    val_loader: DataLoader
    kept: KeptMaps | None
    facts: dict[str, Any] = field(default_factory=dict)


def shared_crops(manifests: Iterable[Path | None]) -> CropSettings:
    """The crop settings of all manifests of a training. Raises UserError where they differ."""
    paths = [path for path in manifests if path is not None]
    settings = [read_manifest(path).crops for path in paths]
    for path, other in zip(paths, settings, strict=True):
        settings[0].require_same(other, f"{paths[0]}", f"{path}")
    return settings[0]


def open_maps(folder: Path | None, manifest: Manifest) -> KeptMaps:
    """The kept maps of a manifest's ears. Raises UserError for none, those of other ears or of ears cut
    otherwise, and damaged ones.
    """
    if folder is None:
        raise UserError(
            "maps is not given: keep the teacher's maps with distill.cache and give their folder, or "
            "train the twin without a teacher with --no-distill."
        )
    kept = KeptMaps(folder)
    kept.require({"manifest_sha256": fingerprint(manifest)}, "the ears of train_npy")
    kept.crop_settings.require_same(manifest.crops, f"{folder}", "train_npy")
    kept.verify()
    return kept


def require_mirrored_view(kept: KeptMaps, what: str, instead: str) -> None:
    """Raise UserError for maps of plain views alone. what: is mirrored in training; instead: another way."""
    if kept.views < 2:
        raise UserError(
            f"{kept.folder}: has no mirrored view, but {what} are mirrored. Keep --views 2, or set {instead}."
        )


def print_plan(student: str, data: TrainingData, steps: int, distillation: DistillationOptions) -> None:
    """A line or two before the training starts: what is trained on, how long, and what a batch is made of.

    student: landmarker or detector.
    """
    facts, mix = data.facts, data.mix
    sources = [] if data.kept is None else [f"maps of {data.kept.layer}"]
    told_by = "frames labelled by a detector" if student == "detector" else "ears labelled by a landmarker"
    sources += [f"{facts['told']} {told_by}"] if "told" in facts else []
    print(
        f"{student}: {facts['labels']} labelled, {facts['held_out']} held out, "
        f"{' and '.join(sources) or 'labels alone (the twin)'}; "
        f"{steps:,} steps of {mix.batch_size} images, {mix}; {steps * mix.batch_size:,} images",
        flush=True,
    )
    if "trusted_share" in facts:
        print(f"predicted points: {facts['trusted_share']:.1%} of them are trusted and used", flush=True)
    elif student == "landmarker" and distillation.distill and distillation.prediction_weight > 0:
        print("predicted points: none are kept with these maps", flush=True)
