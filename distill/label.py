"""Pseudo-labels of ears: the points that a landmarker predicts, as a manifest.

    python -m distill.label --landmarker runs/student/student.pt --npy ears.npy

A student that errs less than the EarDetector it was distilled from can label ears for the next EarDetector
(`teacher.finetune --pseudo-labelled-npy`): a transformer and a small convolutional network err differently,
and each gets labels that it would not have found by itself (co-training: Blum & Mitchell, COLT 1998).

With ears that a person has labelled (--labelled-npy), the points are set where that person would have set
them (`distill.teacher_maps.habit`).

Writes `pseudo_labelled.npy` into the output folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from configs.command import run_command
from configs.errors import UserError
from configs.groups import Fixed, Gone, Ignored, Removed
from configs.provenance import write_provenance
from distill.teacher_maps.options import AGREEMENT_LIMIT, PSEUDO_LABELLED

SURE_BOX = 0.6  # score of a box that a detector found: points read where there may be no ear teach nothing


@dataclass(frozen=True)
class Config:
    """Let a landmarker label ears; landmarks that they have already are not read."""

    landmarker: Path
    """student.pt of distill.train --student landmarker."""
    npy: Path
    """Manifest of the ears; boxes that distill.label_frames found count from a score of 0.6 on."""
    output_dir: Path = Path("runs/labels")
    """Folder of the manifest."""
    readings: int = 2
    """Readings of each ear, whose mean is its label: 2 as it is and mirrored, up to 14 also turned, in looser
    and tighter boxes.
    """
    labelled_npy: Path | None = None
    """Ears with your own labels, 5 or more: the points are moved to where you set them, which may be
    elsewhere than where the landmarker's training had them.
    """
    labels: float = 0
    """How many of those to use: a count from 1 on, a fraction below 1, 0 for all."""
    seed: int = 0
    """Chooses them."""
    GONE: ClassVar[Mapping[str, Gone]] = {
        "agreement_limit": Fixed(AGREEMENT_LIMIT, "no recipe needed another"),
        "batch_size": Ignored("it changes nothing but the time"),
        "margin": Removed("it stands in student.pt: data.prepare --margin, before the training", was=0.1),
        "scheme": Removed("it stands in student.pt: data.prepare --scheme, before the training"),
    }


def main(config: Config) -> Path:
    """Label the ears; returns the output folder. Raises UserError for ears that are cut otherwise than those
    the landmarker was trained on, and as manifests and students do.
    """
    from data.labels import chosen_labels
    from data.manifest import scores_of, write_manifest
    from distill.teacher_maps.frozen_teacher import FrozenTeacher
    from distill.teacher_maps.labelled_ears import habit_of_labels, pseudo_labelled_ears
    from distill.teacher_maps.many_readings import require_readings
    from distill.teacher_maps.numbered_crops import read_ears
    from students.models.checkpoint import student_crops

    require_readings(config.readings)
    landmarker, manifest = FrozenTeacher.load_landmarker(config.landmarker), read_ears(config.npy)
    manifest = manifest.select(scores_of(manifest) >= SURE_BOX)
    if not len(manifest):
        raise UserError(f"{config.npy}: no box in it has a score of {SURE_BOX} or more.")
    manifest.crops.require_same(student_crops(config.landmarker), f"{config.npy}", f"{config.landmarker}")
    habit = None
    if config.labelled_npy is not None:
        own = chosen_labels(config.labelled_npy, config.labels, manifest.crops.num_landmarks, config.seed)
        own.crops.require_same(manifest.crops, f"{config.labelled_npy}", f"{config.npy}")
        habit = habit_of_labels(landmarker, own, config.readings)
    labelled = pseudo_labelled_ears(landmarker, manifest, AGREEMENT_LIMIT, config.readings, habit)
    write_provenance(config.output_dir, config)
    write_manifest(config.output_dir / PSEUDO_LABELLED, labelled)
    print(f"{len(labelled):,} ears, {(labelled.visibility > 0).mean():.1%} of their points labelled")
    return config.output_dir


if __name__ == "__main__":
    run_command(Config, main)
