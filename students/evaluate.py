"""Measure landmarkers, EarDetector and detectors on ground-truth crops and end to end.

Points are measured on crops of the true boxes (box + 10 %; students also on tighter and looser ones), boxes
by COCO's average precision, and both together end to end, as `students.inference.pipeline` does: points are
read in what the detector proposes, and have a say in what is an ear and where its box ends; ears that are not
found are counted and reported beside the error of those that are.

Writes metrics.json, tables.md, curves.json (error and precision curves) and per_image.npz.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.command import run_command
from configs.errors import UserError
from students.inference.boxes import BOX_THRESHOLD
from students.inference.rescoring import EAR_THRESHOLD

if TYPE_CHECKING:
    import torch

    from data.manifest import Manifest
    from students.evaluation.frame_detections import Frame
    from students.evaluation.point_readers import PointReader, Reading

VERSION = 6  # 2: tightness; 3: read twice; 4: points judge boxes; 5: read mirrored; 6: frames in three views
# Which detector feeds which reader of points end to end, when both are given; the first that is there.
DETECTOR_FOR = {
    "landmarker": ("detector", "detector_twin"),
    "landmarker_twin": ("detector_twin", "detector"),
    "ear_detector": ("detector", "detector_twin"),
}
CURVES = ("ced", "precision50", "precision75")  # kept in curves.json, not in metrics.json


@dataclass
class Config:
    """Options of students.evaluate."""

    output_dir: Path
    """Folder for metrics.json, tables.md, curves.json and per_image.npz."""
    landmarker: Path | None = None
    """student.pt of the landmarker."""
    landmarker_twin: Path | None = None
    """student.pt of the landmarker trained without the teacher."""
    ear_detector: Path | None = None
    """Checkpoint of the EarDetector, best.ckpt of teacher.finetune."""
    detector: Path | None = None
    """student.pt of the detector."""
    detector_twin: Path | None = None
    """student.pt of the detector trained without the teacher."""
    ears_npy: Path | None = None
    """Manifest of ears with landmarks, test_labelled.npy: for points on crops of the true boxes."""
    frames_npy: Path | None = None
    """Manifest of whole photographs, test_frames.npy: for boxes, and end to end if it has landmarks."""
    landmarks: Path | None = None
    """YAML with the points' names, if they are not the 17 of data/landmarks_17.yaml."""
    score_threshold: float = EAR_THRESHOLD
    """Ears with a lower score do not count as found end to end, 0 to 1."""
    match_iou: float = 0.5
    """A found box is an ear's if they overlap at least so much, 0 to 1."""


def main(config: Config) -> Path:
    """Evaluate every model given on every manifest given."""
    from configs.files import write_atomic, write_json
    from configs.provenance import write_provenance
    from students.evaluation.markdown_tables import tables

    readers, detectors = _load_models(config)
    names = _landmark_names(config, readers)
    metrics: dict[str, Any] = {}
    per_image: dict[str, np.ndarray] = {}
    if config.ears_npy is not None and readers:
        evaluate_crops(readers, _read_labelled(config.ears_npy, readers), metrics, per_image, names)
    if config.frames_npy is not None and detectors:
        _evaluate_frames(config, readers, detectors, metrics, per_image, names)
    curves = _take_curves(metrics)
    metrics["settings"] = {
        "score_threshold": config.score_threshold,
        "box_threshold": BOX_THRESHOLD,
        "match_iou": config.match_iou,
    }
    text = tables(metrics)
    print(text)
    write_json(config.output_dir / "metrics.json", metrics)
    write_json(config.output_dir / "curves.json", curves)
    write_atomic(config.output_dir / "tables.md", lambda path: path.write_text(text, encoding="utf-8"))
    write_atomic(config.output_dir / "per_image.npz", lambda path: np.savez_compressed(path, **per_image))
    write_provenance(config.output_dir, config)
    return config.output_dir


def evaluate_crops(
    readers: dict[str, PointReader],
    manifest: Manifest,
    metrics: dict[str, Any],
    per_image: dict[str, np.ndarray],
    names: list[str] | None = None,
) -> None:
    """Points on crops of the true boxes; adds to `metrics` by model and to `per_image` under crops_*.

    Students also read tighter and looser crops: `tightness` of students.evaluation.box_tightness.
    """
    from data.boxes import paired_iou
    from data.crops import MARGIN
    from data.metrics import landmark_report, nme
    from students.evaluation.box_tightness import BOX_MARGINS, tightness_report
    from students.evaluation.frame_detections import frames_of, photographs

    readings: dict[str, dict[float, list[Reading]]] = {
        name: {margin: [] for margin in ((MARGIN,) if reader.is_teacher else BOX_MARGINS)}
        for name, reader in readers.items()
    }
    frames = [frame for frame in frames_of(manifest) if len(frame.rows)]
    for part, images in photographs(frames):
        boxes = np.concatenate([frame.boxes_xyxy for frame in frames[part]])
        repeated = [image for image, frame in zip(images, frames[part], strict=True) for _ in frame.rows]
        for name, reader in readers.items():
            for margin, parts in readings[name].items():
                parts.append(reader.read(repeated, boxes, margin))
    rows = np.concatenate([frame.rows for frame in frames])
    ears = manifest.select(rows)
    per_image |= {
        "crops_image_paths": ears.image_paths,
        "crops_boxes_xyxy": ears.boxes_xyxy,
        "crops_landmarks": ears.landmarks,
        "crops_visibility": ears.visibility,
    }
    for name, parts_at in readings.items():
        read_at = {
            margin: np.concatenate([part.points_px for part in parts]) for margin, parts in parts_at.items()
        }
        parts, points_px = parts_at[MARGIN], read_at[MARGIN]
        metrics[name] = landmark_report(points_px, ears.landmarks, ears.visibility, names)
        if len(read_at) > 1:
            metrics[name]["tightness"] = tightness_report(read_at, ears.landmarks, ears.visibility)
        if parts[0].boxes_xyxy is not None:
            boxes = np.concatenate([part.boxes_xyxy for part in parts])
            metrics[name]["box_iou"] = float(paired_iou(boxes, ears.boxes_xyxy).mean())
        per_image[f"crops_{name}_points_px"] = points_px
        per_image[f"crops_{name}_confidence"] = np.concatenate([part.confidence for part in parts])
        per_image[f"crops_{name}_nme"] = nme(points_px, ears.landmarks, ears.visibility)


def _evaluate_frames(
    config: Config,
    readers: dict[str, PointReader],
    detectors: dict[str, torch.nn.Module],
    metrics: dict[str, Any],
    per_image: dict[str, np.ndarray],
    names: list[str] | None,
) -> None:
    from data.manifest import read_manifest
    from students.evaluation.coco_ap import coco_ap
    from students.evaluation.end_to_end import EndToEnd
    from students.evaluation.frame_detections import find_boxes, frames_of, photographs

    manifest = read_manifest(config.frames_npy)
    if len(manifest) == 0:
        raise UserError(f"{config.frames_npy}: no ear in any photograph, average precision is not defined.")
    frames = frames_of(manifest)
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in detectors}
    chains = [
        EndToEnd(
            name,
            next(d for d in DETECTOR_FOR[name] if d in detectors),
            reader,
            manifest,
            config.score_threshold,
            config.match_iou,
        )
        for name, reader in readers.items()
    ]
    for part, images in photographs(frames):
        for name, detector in detectors.items():
            found[name] += find_boxes(detector, images)
        for chain in chains:
            chain.add(frames[part], images, found[chain.detector][part])
    per_image["frames_image_paths"] = np.array([frame.path for frame in frames])
    for name, boxes_and_scores in found.items():
        metrics[name] = coco_ap(boxes_and_scores, [frame.boxes_xyxy for frame in frames])
        metrics[name] |= _at_threshold(config, boxes_and_scores, frames)
        per_image[f"frames_{name}_image"] = np.repeat(
            np.arange(len(frames)), [len(scores) for _, scores in boxes_and_scores]
        )
        per_image[f"frames_{name}_boxes_xyxy"] = np.concatenate([boxes for boxes, _ in boxes_and_scores])
        per_image[f"frames_{name}_scores"] = np.concatenate([scores for _, scores in boxes_and_scores])
    for chain in chains:
        metrics.setdefault(chain.name, {})["end_to_end"] = chain.report(names)
        per_image |= chain.per_image()


def _at_threshold(
    config: Config, found: list[tuple[np.ndarray, np.ndarray]], frames: list[Frame]
) -> dict[str, float]:
    """What a user of the detector alone meets: precision, recall and false alarms at BOX_THRESHOLD."""
    from students.evaluation.frame_detections import match

    hits = boxes_kept = 0
    for (boxes, scores), frame in zip(found, frames, strict=True):
        kept = boxes[scores >= BOX_THRESHOLD]
        hits += int((match(kept, frame.boxes_xyxy, config.match_iou) >= 0).sum())
        boxes_kept += len(kept)
    ears = sum(len(frame.rows) for frame in frames)
    return {
        "threshold_precision": hits / boxes_kept if boxes_kept else 0.0,
        "threshold_recall": hits / ears,
        "threshold_false_alarms_per_image": (boxes_kept - hits) / len(frames),
    }


def _load_models(config: Config) -> tuple[dict[str, PointReader], dict[str, torch.nn.Module]]:
    """Readers of points and detectors that were given, by the name they have in metrics.json."""
    for name in ("score_threshold", "match_iou"):
        if not 0 <= getattr(config, name) <= 1:
            raise UserError(f"{name} is {getattr(config, name)}, allowed is 0 to 1.")
    point_paths = {name: getattr(config, name) for name in DETECTOR_FOR}
    box_paths = {name: getattr(config, name) for name in ("detector", "detector_twin")}
    if all(path is None for path in (*point_paths.values(), *box_paths.values())):
        raise UserError("Nothing to evaluate: give --landmarker, --detector or other checkpoints.")
    if config.ears_npy is None and config.frames_npy is None:
        raise UserError(
            "No test set: give --ears-npy (test_labelled.npy), --frames-npy (test_frames.npy) or both."
        )
    from students.evaluation.point_readers import load_point_reader
    from students.models.checkpoint import load_student

    readers = {
        name: load_point_reader(path, name == "ear_detector", config.landmarks)
        for name, path in point_paths.items()
        if path is not None
    }
    detectors = {name: load_student(path, "detector") for name, path in box_paths.items() if path is not None}
    if not ((readers and (config.ears_npy or detectors)) or (detectors and config.frames_npy)):
        raise UserError(
            "The models given do not fit the test sets: points need --ears-npy, boxes --frames-npy."
        )
    return readers, detectors


def _landmark_names(config: Config, readers: dict[str, PointReader]) -> list[str] | None:
    """Names for the tables; None where the default scheme does not have as many points as the models."""
    from data.landmarks import load_scheme

    names = list(load_scheme(config.landmarks).names)
    counts = {reader.num_landmarks for reader in readers.values()}
    if config.landmarks is not None and counts - {len(names)}:
        raise UserError(f"{config.landmarks} names {len(names)} points, the models read {sorted(counts)}.")
    return None if counts - {len(names)} else names


def _read_labelled(path: Path, readers: dict[str, PointReader]) -> Manifest:
    from data.manifest import read_manifest

    manifest = read_manifest(path)
    for name, reader in readers.items():
        if manifest.landmarks is None:
            raise UserError(f"{path} has no landmarks; --ears-npy wants a labelled manifest.")
        if manifest.landmarks.shape[1] != reader.num_landmarks:
            raise UserError(
                f"{path} has {manifest.landmarks.shape[1]} points an ear, "
                f"the {name} reads {reader.num_landmarks}."
            )
    return manifest


def _take_curves(metrics: dict[str, Any]) -> dict[str, Any]:
    """Move the long curves out of `metrics` into a dict of the same nesting."""
    curves: dict[str, Any] = {}
    for name, value in list(metrics.items()):
        if name in CURVES:
            curves[name] = metrics.pop(name)
        elif isinstance(value, dict):
            inner = _take_curves(value)
            if inner:
                curves[name] = inner
    return curves


if __name__ == "__main__":
    run_command(Config, main)
