"""Whole photographs: the boxes of each detector, and detector and points end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data.boxes import BOX_THRESHOLD
from data.coco_ap import coco_ap
from data.manifest import Manifest
from students.evaluation.box_finders import BoxFinder, find_boxes
from students.evaluation.end_to_end import EndToEnd
from students.evaluation.frame_detections import Frame, frames_of, match, photographs
from students.evaluation.point_readers import PointReader

# Which detector feeds which reader of points end to end, when both are given; the first that is there.
DETECTOR_FOR = {
    "landmarker": ("detector", "detector_twin"),
    "landmarker_twin": ("detector_twin", "detector"),
    "ear_detector": ("detector", "detector_twin"),
}


def evaluate_frames(
    readers: Mapping[str, PointReader],
    detectors: Mapping[str, BoxFinder],
    manifest: Manifest,
    score_threshold: float,
    looks: str,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What is measured of each model, by its name (a reader's under end_to_end), and arrays frames_* and
    end_to_end_* for per_image.npz.

    readers: by keys of DETECTOR_FOR; detectors: at least one; manifest: with at least one ear;
    score_threshold: of ears found end to end; looks: of the detectors, "one" or "many".
    """
    frames = frames_of(manifest)
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in detectors}
    chains = []
    for name, reader in readers.items():
        detector = next(known for known in DETECTOR_FOR[name] if known in detectors)
        chains.append(EndToEnd(name, detector, reader, manifest, score_threshold))
    for part, images in photographs(frames):
        for name, detector in detectors.items():
            found[name] += find_boxes(detector, images, looks)
        for chain in chains:
            chain.add(frames[part], images, found[chain.detector][part])
    metrics: dict[str, Any] = {}
    per_image = {"frames_image_paths": np.array([frame.path for frame in frames])}
    for name, boxes_and_scores in found.items():
        metrics[name] = coco_ap(boxes_and_scores, [frame.boxes_xyxy for frame in frames])
        metrics[name] |= at_threshold(boxes_and_scores, frames)
        counts = [len(scores) for _, scores in boxes_and_scores]
        per_image[f"frames_{name}_image"] = np.repeat(np.arange(len(frames)), counts)
        per_image[f"frames_{name}_boxes_xyxy"] = np.concatenate([boxes for boxes, _ in boxes_and_scores])
        per_image[f"frames_{name}_scores"] = np.concatenate([scores for _, scores in boxes_and_scores])
    for chain in chains:
        metrics[chain.name] = {"end_to_end": chain.report()}
        per_image |= chain.per_image()
    return metrics, per_image


def at_threshold(found: Sequence[tuple[np.ndarray, np.ndarray]], frames: Sequence[Frame]) -> dict[str, float]:
    """What a user of the detector alone meets at BOX_THRESHOLD: precision, recall, false alarms, and in how
    many of the `ear_free` photographs an ear is seen.

    found: boxes (n, 4) px and scores (n,) of each frame.
    """
    hits = boxes_kept = alarmed = 0
    for (boxes, scores), frame in zip(found, frames, strict=True):
        kept = boxes[scores >= BOX_THRESHOLD]
        hits += int((match(kept, frame.boxes_xyxy) >= 0).sum())
        boxes_kept += len(kept)
        alarmed += len(kept) > 0 and len(frame.rows) == 0
    ears = sum(len(frame.rows) for frame in frames)
    return {
        "threshold_precision": hits / boxes_kept if boxes_kept else 0.0,
        "threshold_recall": hits / ears,
        "threshold_false_alarms_per_image": (boxes_kept - hits) / len(frames),
        "threshold_alarmed": alarmed,
        "ear_free": sum(len(frame.rows) == 0 for frame in frames),
    }
