"""Frames with their true ears; which found box is which ear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data.boxes import box_iou
from data.images import read_image
from data.manifest import Manifest

BATCH_FRAMES = 16
MATCH_IOU = 0.5  # a found box is an ear's from here on, as in AP50


@dataclass(frozen=True)
class Frame:
    """One photograph and the rows of the manifest that are its ears; none for an empty one."""

    path: str
    rows: np.ndarray  # (m,) int
    boxes_xyxy: np.ndarray  # (m, 4) float32 px


def frames_of(manifest: Manifest) -> list[Frame]:
    """The manifest's photographs, in order of appearance, then those without ears."""
    rows_of: dict[str, list[int]] = {}
    for row, path in enumerate(manifest.image_paths):
        rows_of.setdefault(str(path), []).append(row)
    frames = [Frame(path, np.array(rows), manifest.boxes_xyxy[rows]) for path, rows in rows_of.items()]
    none = np.empty(0, dtype=int)
    return frames + [
        Frame(str(path), none, np.empty((0, 4), dtype=np.float32)) for path in manifest.empty_images
    ]


def photographs(frames: Sequence[Frame]) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """The frames' images in batches, each with the slice of `frames` it belongs to; read once, not kept."""
    for start in range(0, len(frames), BATCH_FRAMES):
        part = slice(start, start + BATCH_FRAMES)
        yield part, [read_image(frame.path) for frame in frames[part]]


def match(found_xyxy: np.ndarray, true_xyxy: np.ndarray, min_iou: float = MATCH_IOU) -> np.ndarray:
    """For each true box (m,) the index of the found box that is it, or -1.

    found_xyxy: (n, 4), best first; each takes the free ear it overlaps most, if by at least `min_iou`, as
    COCO matches.
    """
    owner = np.full(len(true_xyxy), -1)
    overlap = box_iou(found_xyxy, true_xyxy)
    for index in range(len(found_xyxy)):
        free = np.where(owner < 0, overlap[index], -1.0)
        if len(free) and free.max() >= min_iou:
            owner[free.argmax()] = index
    return owner
