"""Which labelled ears a training uses, and which are held out to judge it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import UserError
from data.manifest import NOT_ANNOTATED, Manifest, labelled_rows, read_manifest, require_landmarks, sources_of

HELD_OUT_SHARE = 0.15  # of the training ears, when no validation manifest is given

FEW_HELD_OUT = 10


@dataclass(frozen=True)
class LabelledEars:
    """The ears to train on and those held out, and where the latter come from, in words."""

    train: Manifest
    held_out: Manifest
    held_out_from: str


def choose_labels(
    train_npy: Path, val_npy: Path | None, labels: float, num_landmarks: int, seed: int
) -> LabelledEars:
    """`labels` of the labelled ears (a count from 1 on, a fraction below, 0 for all) and ears to judge them
    on.

    Without val_npy a part of the chosen labels is held out, so that no more labels are used than asked for;
    ears of one source (photograph, person) stay on one side. Raises UserError for too few ears, or points
    of another number.
    """
    pool = chosen_labels(train_npy, labels, num_landmarks, seed)
    if val_npy is not None:
        return _with_warnings(LabelledEars(pool, _labelled(val_npy, num_landmarks), f"{val_npy}"))
    held_out = _rows_to_hold_out(sources_of(pool), seed)
    if held_out.all() or not held_out.any():
        sources = len(np.unique(sources_of(pool)))
        raise UserError(
            f"{train_npy}: {len(pool)} labelled ear(s) of {sources} source(s) are too few to hold a part of "
            "them out. Give --val-npy, or more labels."
        )
    words = f"{held_out.sum()} of the {len(pool)} labelled ears of {train_npy}, held out"
    train = pool.select(~held_out, keep_empty_images=True)
    return _with_warnings(LabelledEars(train, pool.select(held_out), words))


def chosen_labels(path: Path, labels: float, num_landmarks: int, seed: int) -> Manifest:
    """`labels` of a manifest's labelled ears, all for 0. Raises UserError as `choose_labels`."""
    pool = _labelled(path, num_landmarks)
    if not labels:
        return pool
    rows = choose_labelled(pool, labels if labels < 1 else int(labels), seed)
    return pool.select(rows, keep_empty_images=True)


def warn_of_measures(image_paths: np.ndarray, held_out: Manifest) -> None:
    """Print what makes a training's measures say less than they seem to. image_paths: that are trained on."""
    shared = np.isin(held_out.image_paths, image_paths).sum()
    if shared:
        print(
            f"warning: {shared} of the {len(held_out)} held-out ears are in images that are trained on; what "
            "is measured on them says nothing of other photographs",
            flush=True,
        )
    if len(held_out) < FEW_HELD_OUT:
        print(f"warning: judged on {len(held_out)} ears, by which hardly anything can be told", flush=True)


def _with_warnings(ears: LabelledEars) -> LabelledEars:
    """The same, with a line for what is doubtful about them."""
    warn_of_measures(ears.train.image_paths, ears.held_out)
    never = np.flatnonzero((ears.train.visibility == NOT_ANNOTATED).all(axis=0))
    if len(never):
        names = ", ".join(ears.train.crops.scheme.names[point] for point in never)
        print(f"warning: no ear to train on has these points: {names}", flush=True)
    return ears


def choose_labelled(manifest: Manifest, labels: int | float, seed: int) -> np.ndarray:
    """Rows of `labels` ears that have landmarks, a number (int) or a fraction of them (float).

    The same seed gives the same ears, and the first 50 of 100 are the 50. Raises UserError when there are too
    few.
    """
    if manifest.landmarks is None:
        raise UserError("labels: the training manifest has no landmarks.")
    labelled = np.flatnonzero(labelled_rows(manifest))
    if isinstance(labels, float) and not 0 < labels <= 1:
        raise UserError(
            f"labels: the fraction {labels} is not above 0 and at most 1; give a whole number for a count."
        )
    count = labels if isinstance(labels, int) else max(1, round(labels * len(labelled)))
    if not 1 <= count <= len(labelled):
        raise UserError(
            f"labels: {count} ears asked for, the training manifest has {len(labelled)} with landmarks."
        )
    return np.random.default_rng([seed, 17]).permutation(labelled)[:count]


def _labelled(path: Path, num_landmarks: int) -> Manifest:
    """The rows with at least one annotated point."""
    manifest = read_manifest(path)
    if len(manifest):
        require_landmarks(manifest, num_landmarks, path)
        manifest = manifest.select(labelled_rows(manifest), keep_empty_images=True)
    if not len(manifest):
        raise UserError(f"{path}: holds no ear with an annotated point.")
    return manifest


def _rows_to_hold_out(sources: np.ndarray, seed: int) -> np.ndarray:
    """(N,) bool: whole sources, drawn until they hold `HELD_OUT_SHARE` of the rows."""
    names, counts = np.unique(sources, return_counts=True)
    order = np.random.default_rng([seed, 23]).permutation(len(names))
    before = np.cumsum(counts[order]) - counts[order]
    return np.isin(sources, names[order][before < HELD_OUT_SHARE * len(sources)])
