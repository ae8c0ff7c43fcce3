"""Pseudo-labels of a manifest's ears: the points that a landmarker predicts on their photographs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.manifest import NOT_ANNOTATED, VISIBLE, Manifest
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.many_readings import read_many


def pseudo_labelled_ears(
    landmarker: FrozenTeacher, manifest: Manifest, agreement_limit: float, readings: int
) -> Manifest:
    """The ears with predicted landmarks, px of their photographs; landmarks they have are not read.

    They are cut as `manifest.crops` has it, and read so many times (`many_readings`). A point whose readings
    differ by `agreement_limit`, a fraction of the crop's side, is not annotated: twice their mean distance
    from their mean, which is the distance of two.
    """
    landmarks, spread = read_many(landmarker, manifest, readings)
    visibility = np.where(2 * spread < agreement_limit, VISIBLE, NOT_ANNOTATED).astype(np.uint8)
    return replace(manifest, landmarks=landmarks, visibility=visibility)
