"""Pseudo-labels of a manifest's ears: the points that a landmarker predicts on their photographs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.manifest import NOT_ANNOTATED, VISIBLE, Manifest
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.habit import Habit, learn_habit
from distill.teacher_maps.many_readings import read_many


def pseudo_labelled_ears(
    landmarker: FrozenTeacher,
    manifest: Manifest,
    agreement_limit: float,
    readings: int,
    habit: Habit | None = None,
) -> Manifest:
    """The ears with predicted landmarks, px of their photographs; landmarks they have are not read.

    They are cut as `manifest.crops` has it, and read so many times (`many_readings`). A point whose readings
    differ by `agreement_limit`, a fraction of the crop's side, is not annotated: twice their mean distance
    from their mean, which is the distance of two. Points are moved by the `habit`, where there is one.
    """
    landmarks, spread = read_many(landmarker, manifest, readings)
    if habit is not None and habit.helps:
        landmarks = habit.moved(landmarks)
    visibility = np.where(2 * spread < agreement_limit, VISIBLE, NOT_ANNOTATED).astype(np.uint8)
    return replace(manifest, landmarks=landmarks, visibility=visibility)


def habit_of_labels(landmarker: FrozenTeacher, labelled: Manifest, readings: int) -> Habit:
    """The habit by which these ears were labelled; prints what it is worth.

    Raises UserError as `learn_habit`.
    """
    read, _ = read_many(landmarker, labelled, readings)
    habit = learn_habit(read, labelled.landmarks, labelled.visibility, labelled.crops.scheme)
    print(habit.in_words(len(labelled)), flush=True)
    return habit
