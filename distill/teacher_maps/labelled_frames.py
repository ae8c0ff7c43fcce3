"""Pseudo-labels of photographs: the boxes that a detector finds in them, with their scores."""

from __future__ import annotations

import numpy as np
from torch import nn
from tqdm import tqdm

from data.manifest import Manifest
from students.evaluation.frame_detections import find_boxes, frames_of, photographs


def pseudo_labelled_frames(
    detector: nn.Module, manifest: Manifest, least_score: float
) -> tuple[Manifest, int]:
    """The boxes found with `least_score` or more, and the photographs that show none, as a manifest; and how
    many photographs there were. Boxes of `manifest` are not read.
    """
    frames = frames_of(manifest)
    paths: list[str] = []
    empty: list[str] = []
    boxes: list[np.ndarray] = []
    all_scores: list[np.ndarray] = []
    for part, images in tqdm(photographs(frames), desc="frames", unit="batch"):
        for frame, (found, scores) in zip(frames[part], find_boxes(detector, images), strict=True):
            kept = scores >= least_score
            paths += [frame.path] * int(kept.sum())
            boxes.append(found[kept])
            all_scores.append(scores[kept])
            if not kept.any():
                empty.append(frame.path)
    labelled = Manifest(
        np.array(paths, dtype=str),
        np.concatenate(boxes),
        scores=np.concatenate(all_scores),
        empty_images=np.array(empty, dtype=str),
        crops=manifest.crops,
    )
    return labelled, len(frames)
