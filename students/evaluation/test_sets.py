"""The test sets of an evaluation, read and compared with the models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from configs.errors import UserError
from data.manifest import Manifest, read_manifest
from students.evaluation.point_readers import PointReader


def read_test_ears(path: Path, readers: Mapping[str, PointReader]) -> Manifest:
    """A labelled manifest with the points that the readers predict.

    Raises UserError for one without landmarks, of other crops or with other points.
    """
    manifest = read_manifest(path)
    if manifest.landmarks is None:
        raise UserError(f"{path} has no landmarks; --ears-npy wants a labelled manifest.")
    _require_same_crops(path, manifest, readers)
    for name, reader in readers.items():
        if manifest.landmarks.shape[1] != reader.num_landmarks:
            raise UserError(
                f"{path} has {manifest.landmarks.shape[1]} points an ear, "
                f"the {name} reads {reader.num_landmarks}."
            )
    return manifest


def read_test_frames(path: Path, readers: Mapping[str, PointReader]) -> Manifest:
    """A manifest of photographs. Raises UserError for one without ears, and, of other crops than the
    readers', for one.
    """
    manifest = read_manifest(path)
    if len(manifest) == 0:
        raise UserError(f"{path}: no ear in any photograph, average precision is not defined.")
    _require_same_crops(path, manifest, readers)
    return manifest


def _require_same_crops(path: Path, manifest: Manifest, readers: Mapping[str, PointReader]) -> None:
    for name, reader in readers.items():
        manifest.crops.require_same(reader.crops, f"{path}", f"the {name}")
