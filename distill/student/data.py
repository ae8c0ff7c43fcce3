"""What a student is trained on, whichever student it is; its builders: `landmarker_data`, `detector_data`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from configs.errors import UserError
from data.manifest import Manifest, fingerprint
from distill.student.batches import CropBatches, FrameBatches
from distill.student.plan import BatchMix
from distill.teacher_maps.store import KeptMaps

VAL_BATCH = 32


@dataclass(frozen=True)
class TrainingData:
    """Batches by step and what they are made of, the held-out set as a loader, the kept maps (None for a
    twin), and facts to report.
    """

    batches: CropBatches | FrameBatches
    mix: BatchMix
    val_loader: DataLoader
    kept: KeptMaps | None
    facts: dict[str, Any] = field(default_factory=dict)


def open_maps(folder: Path | None, manifest: Manifest) -> KeptMaps:
    """The kept maps of a manifest's ears. Raises UserError for none, those of others, and damaged ones."""
    if folder is None:
        raise UserError(
            "maps is not given: keep the teacher's maps with distill.cache and give their folder, or "
            "train the twin without a teacher with --no-distill."
        )
    kept = KeptMaps(folder)
    kept.require({"manifest_sha256": fingerprint(manifest)}, "the ears of train_npy")
    kept.verify()
    return kept


def require_mirrored_view(kept: KeptMaps, what: str, instead: str) -> None:
    """Raise UserError for maps of plain views alone. what: is mirrored in training; instead: another way."""
    if kept.views < 2:
        raise UserError(
            f"{kept.folder}: has no mirrored view, but {what} are mirrored. Keep --views 2, or set {instead}."
        )
