"""What is wrong with images and annotations, row by row: mended where safe, else dropped and counted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from configs.errors import UserError
from configs.processes.lifetime import end_with_parent
from data.boxes import box_iou
from data.formats.drops import Drops
from data.images import read_image_and_notes
from data.manifest import NOT_ANNOTATED, Manifest, row_faults
from data.preparation.parts import Part

MIN_BOX_PX = 8.0  # the longer side; an ear of less shows no fold
POINT_REACH = 0.5  # how far beyond its box a point may lie, in box sides, before it cannot be this ear's
SAME_BOX_PX = 1.0  # two boxes this alike on the same bytes are one annotation twice
SAME_EAR_IOU = 0.3  # two people's boxes of one ear overlap by more


class ImageFacts(NamedTuple):
    """Of a decoded image: its upright size px, the digest of its bytes, its looks (as of
    `data.preparation.looks`) and what was noticed when it was read, or why it cannot be.
    """

    height: int
    width: int
    digest: str
    error: str
    looks: bytes = b""
    notes: tuple[str, ...] = ()


def check_images(paths: Iterable[str], num_workers: int) -> dict[str, ImageFacts]:
    """Decode every image, in `num_workers` processes (0: in this one), with a progress bar; path -> facts."""
    unique = list(dict.fromkeys(paths))
    bar = {"total": len(unique), "desc": "checking images", "unit": "image", "disable": not unique}
    if num_workers < 1 or len(unique) < 32:
        return dict(zip(unique, tqdm(map(image_facts, unique), **bar), strict=True))
    with ProcessPoolExecutor(num_workers, get_context("spawn"), initializer=end_with_parent) as pool:
        facts = list(tqdm(pool.map(image_facts, unique, chunksize=8), **bar))
    return dict(zip(unique, facts, strict=True))


def image_facts(path: str) -> ImageFacts:
    """Decode one image."""
    from data.preparation.looks import looks_of

    try:
        rgb, notes = read_image_and_notes(path)
        height, width = rgb.shape[:2]
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return ImageFacts(height, width, digest, "", looks_of(rgb), tuple(notes))
    except (UserError, OSError) as error:
        return ImageFacts(0, 0, "", str(error))


def check_parts(
    parts: Sequence[Part], facts: Mapping[str, ImageFacts], drops: Drops, changes: Drops
) -> list[Part]:
    """Each part without the rows and images that cannot be used; the input is not changed.

    facts: of every image. What was left out is counted in `drops`, what was mended in `changes`. The parts'
    `spoilt_images` become those that show an ear without a box: its row was dropped, by the reader or here,
    or another copy of the image has one more.
    """
    for path, fact in facts.items():
        for note in fact.notes:
            changes.add(f"image: {note}", path)
    checked = [check_annotations(part.manifest, facts, drops, changes) for part in parts]
    lost = frozenset().union(*(part.spoilt_images for part in parts), *(images for _, images in checked))
    digests = {facts[path].digest for path in lost if path in facts and not facts[path].error}
    spoilt = lost | {path for path, fact in facts.items() if fact.digest in digests}
    read, kept = [part.manifest for part in parts], [manifest for manifest, _ in checked]
    spoilt |= lacking_copies(read, kept, facts)
    return [
        replace(part, manifest=check_empty_images(manifest, facts, spoilt, drops), spoilt_images=spoilt)
        for part, (manifest, _) in zip(parts, checked, strict=True)
    ]


def kept_from_detector(parts: Sequence[Part], facts: Mapping[str, ImageFacts]) -> Drops:
    """The photographs that a detector must not learn from, though they can be read."""
    found = Drops()
    for path in sorted(frozenset().union(*(part.spoilt_images for part in parts if part.whole_frames))):
        if path in facts and not facts[path].error:
            found.add("photograph shows an ear that was dropped, not in *_frames.npy", path)
    return found


def lacking_copies(
    manifests: Sequence[Manifest], kept: Sequence[Manifest], facts: Mapping[str, ImageFacts]
) -> frozenset[str]:
    """Images of `kept` that have no box where some image of the same bytes has one in `manifests`."""
    boxes_of = _boxes_by_image(kept, facts)
    lacking = set()
    for digest, copies in _boxes_by_image(manifests, facts).items():
        everyone = np.concatenate(list(copies.values())) if len(copies) > 1 else np.empty((0, 4))
        for path, boxes in boxes_of.get(digest, {}).items():
            if (box_iou(everyone, boxes).max(axis=1, initial=0) < SAME_EAR_IOU).any():
                lacking.add(path)
    return frozenset(lacking)


def check_annotations(
    manifest: Manifest, facts: Mapping[str, ImageFacts], drops: Drops, changes: Drops
) -> tuple[Manifest, frozenset[str]]:
    """Drop rows that cannot be used, into `drops`; clip boxes and forget points outside, into `changes`.

    Returns the rest, and the images that show an ear whose row was dropped: not for the detector.
    """
    paths = list(map(str, manifest.image_paths))
    keep = np.ones(len(manifest), dtype=bool)
    for row, path in enumerate(paths):
        if facts[path].error:
            keep[row] = False
            drops.add_image(path, UserError(facts[path].error))
    for reason, bad in row_faults(manifest).items():
        keep &= ~_dropped(keep & bad, reason, manifest, drops)
    manifest, spoilt = _reduced(manifest, keep, facts)
    sides = np.array([[facts[str(p)].width, facts[str(p)].height] for p in manifest.image_paths]).reshape(
        -1, 2
    )
    clipped = np.minimum(manifest.boxes_xyxy.clip(0), np.tile(sides, 2).astype(np.float32))
    extent = clipped[:, 2:] - clipped[:, :2]
    keep = ~_dropped((extent <= 0).any(axis=1), "box wholly outside the image", manifest, drops)
    partly = keep & (clipped != manifest.boxes_xyxy).any(axis=1)
    _dropped(partly, "box partly outside the image, clipped", manifest, changes)
    too_small = keep & (extent.max(axis=1, initial=0) < MIN_BOX_PX)
    keep &= ~_dropped(too_small, f"box smaller than {MIN_BOX_PX:g} px", manifest, drops)
    manifest = replace(manifest, boxes_xyxy=clipped)
    manifest = _without_points_outside(manifest, sides, changes)
    keep &= ~_dropped(keep & _foreign_points(manifest), "points lie far from the box", manifest, drops)
    manifest, more = _reduced(manifest, keep, facts)
    again = _repeated(manifest, facts)
    _dropped(again, "the same box on the same picture again", manifest, drops)
    return manifest.select(~again, keep_empty_images=True), spoilt | more


def check_empty_images(
    manifest: Manifest, facts: Mapping[str, ImageFacts], spoilt: frozenset[str], drops: Drops
) -> Manifest:
    """Keep the images without ears that can be read and of which no copy shows an ear."""
    with_ears = {facts[path].digest for path in [*map(str, manifest.image_paths), *spoilt]}
    kept = []
    for path in dict.fromkeys(map(str, manifest.empty_images)):
        if facts[path].error:
            drops.add_image(path, UserError(facts[path].error))
        elif facts[path].digest in with_ears:
            drops.add("image listed as without ears, but there are boxes on it", path)
        else:
            kept.append(path)
    return replace(manifest, empty_images=np.array(kept, dtype=str))


def _boxes_by_image(
    manifests: Sequence[Manifest], facts: Mapping[str, ImageFacts]
) -> dict[str, dict[str, np.ndarray]]:
    """Digest -> {path: boxes (n, 4) px}, of readable images."""
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for manifest in manifests:
        for path, box in zip(manifest.image_paths.tolist(), manifest.boxes_xyxy, strict=True):
            if not facts[path].error and np.isfinite(box).all():
                found.setdefault(facts[path].digest, {}).setdefault(path, []).append(box)
    return {key: {path: np.array(boxes) for path, boxes in copies.items()} for key, copies in found.items()}


def _dropped(bad: np.ndarray, reason: str, manifest: Manifest, drops: Drops) -> np.ndarray:
    """Count each bad row in `drops`; returns `bad`."""
    for row in np.flatnonzero(bad):
        box = ", ".join(f"{edge:g}" for edge in manifest.boxes_xyxy[row])
        drops.add(reason, f"{manifest.image_paths[row]} box [{box}]")
    return bad


def _reduced(
    manifest: Manifest, keep: np.ndarray, facts: Mapping[str, ImageFacts]
) -> tuple[Manifest, frozenset[str]]:
    """The kept rows, and the readable images that lost a row."""
    lost = {str(path) for path in manifest.image_paths[~keep] if not facts[str(path)].error}
    return manifest.select(keep, keep_empty_images=True), frozenset(lost)


def _without_points_outside(manifest: Manifest, sides: np.ndarray, changes: Drops) -> Manifest:
    """Points outside their image become not annotated: nobody can have seen them."""
    if manifest.landmarks is None:
        return manifest
    points = np.nan_to_num(manifest.landmarks)
    outside = ((points < -0.5) | (points > sides[:, None] - 0.5)).any(axis=2) & (manifest.visibility > 0)
    for row, point in zip(*np.nonzero(outside), strict=True):
        changes.add(
            "point outside the image, taken as not annotated", f"{manifest.image_paths[row]} point {point}"
        )
    return replace(manifest, visibility=np.where(outside, NOT_ANNOTATED, manifest.visibility))


def _foreign_points(manifest: Manifest) -> np.ndarray:
    """(N,) bool: most annotated points lie beyond the box grown by POINT_REACH on each side."""
    if manifest.landmarks is None:
        return np.zeros(len(manifest), dtype=bool)
    boxes = manifest.boxes_xyxy[:, None]
    reach = POINT_REACH * (boxes[..., 2:] - boxes[..., :2])
    points = np.nan_to_num(manifest.landmarks)
    away = ((points < boxes[..., :2] - reach) | (points > boxes[..., 2:] + reach)).any(axis=2)
    annotated = manifest.visibility > 0
    return (away & annotated).sum(axis=1) > annotated.sum(axis=1) / 2


def _repeated(manifest: Manifest, facts: Mapping[str, ImageFacts]) -> np.ndarray:
    """(N,) bool: an earlier row has the same box on an image of the same bytes."""
    seen: dict[str, list[np.ndarray]] = {}
    repeated = np.zeros(len(manifest), dtype=bool)
    for row, (path, box) in enumerate(zip(manifest.image_paths, manifest.boxes_xyxy, strict=True)):
        earlier = seen.setdefault(facts[str(path)].digest, [])
        repeated[row] = any((abs(box - other) <= SAME_BOX_PX).all() for other in earlier)
        earlier.append(box)
    return repeated
