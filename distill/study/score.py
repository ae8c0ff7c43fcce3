"""Score one trained model on the test set: `cell.json`, with what every image adds to the measure.

A stage of the study's recipe (`distill.study` adds one to each training). For points it keeps the error of
every point of every ear, on crops of the true boxes; for boxes, of every box found its score and the IoU
thresholds at which it is an ear. From them the analysis can draw the test images anew, without the models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from configs.command import run_command
from configs.errors import UserError
from configs.groups import Gone, Removed
from configs.reading.content import read_json
from data.manifest import Manifest, read_manifest
from distill.pipeline.plan import read_record
from distill.study.average_precision import IMAGES_BOXES, matched_thresholds
from distill.study.cells import write_compact

if TYPE_CHECKING:
    from torch import nn

VERSION = 4  # 2: detectors see frames in two sizes; 3: ears mirrored too; 4: frames in three views
WEIGHTS = {"landmarker": "student.pt", "detector": "student.pt", "ear_detector": "best.ckpt"}
MISSED_NME = 1.0  # of an ear without a finite prediction: the whole diagonal
DECIMALS = 5  # of what each image adds
MODEL_FACTS = ("labels", "empty_frames", "steps", "images", "round", "teacher", "trusted_share")


@dataclass(frozen=True)
class Config:
    """Which trained model, and on which test set."""

    model: Literal["landmarker", "detector", "ear_detector"]
    """What was trained."""
    trained: Path
    """Output folder of its training."""
    test_npy: Path
    """Manifest of labelled ears, for the detector of whole photographs."""
    output_dir: Path
    """Folder for cell.json."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        name: Removed("the study writes it when it gathers the cells") for name in ("arm", "budget", "seed")
    }


def main(config: Config) -> Path:
    """Score; returns the output folder. Raises UserError for a test set without ears or with other points."""
    manifest = read_manifest(config.test_npy)
    if not len(manifest):
        raise UserError(f"{config.test_npy}: no ear in it, there is nothing to score on.")
    weights = config.trained / WEIGHTS[config.model]
    if config.model == "detector":
        measured = _measure_boxes(weights, manifest)
    else:
        measured = _measure_points(config.model, weights, manifest, config.test_npy)
    cell = {"model": config.model} | measured | _training_facts(config.trained)
    write_compact(config.output_dir / "cell.json", cell)
    headline = " ".join(f"{name} {value:.4f}" for name, value in cell["headline"].items())
    print(f"{config.model}, {cell['labels']} labels: {headline}")
    return config.output_dir


def _measure_points(model: str, weights: Path, manifest: Manifest, test_npy: Path) -> dict[str, Any]:
    """Headline NME and point errors of a landmarker or EarDetector. test_npy: the manifest's, for errors."""
    from data.metrics import point_errors
    from students.evaluation.crops import evaluate_crops
    from students.evaluation.point_readers import load_point_reader

    reader = load_point_reader(weights, model == "ear_detector")
    if manifest.landmarks is None or manifest.landmarks.shape[1] != reader.num_landmarks:
        raise UserError(f"{test_npy}: has no {reader.num_landmarks} points an ear to score on.")
    metrics, arrays = evaluate_crops({model: reader}, manifest)
    truth, visibility = arrays["crops_landmarks"], arrays["crops_visibility"]
    errors = point_errors(arrays[f"crops_{model}_points_px"], truth, visibility)
    errors[np.isinf(errors)] = MISSED_NME
    known = ~np.isnan(errors).all(axis=1)
    errors = errors[known]
    per_ear = np.nanmean(errors, axis=1)
    scheme = manifest.crops.scheme
    names = list(scheme.names) if len(scheme) == errors.shape[1] else None
    return {
        "headline": {"nme": float(per_ear.mean())},
        "missed": metrics[model]["missed"],
        "tightness": metrics[model].get("tightness"),
        "points": {"names": names, "nme": [float(value) for value in np.nanmean(errors, axis=0)]},
        "per_image": {
            "paths": [Path(path).name for path in arrays["crops_image_paths"][known]],
            "nme": _rounded(per_ear),
            "point_errors": [_rounded(row) for row in errors],
        },
        **_size(reader.model, reader.image_px),
    }


def _measure_boxes(weights: Path, manifest: Manifest) -> dict[str, Any]:
    """Headline AP and what each image adds to it, of a detector."""
    from data.coco_ap import coco_ap
    from students.evaluation.box_finders import find_boxes
    from students.evaluation.frame_detections import frames_of, photographs
    from students.models.checkpoint import load_student

    detector = load_student(weights, "detector")
    frames = frames_of(manifest)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for _, images in photographs(frames):
        found += find_boxes(detector, images)
    truth = [frame.boxes_xyxy for frame in frames]
    measures = coco_ap(found, truth)
    kept = [(boxes[:IMAGES_BOXES], scores[:IMAGES_BOXES]) for boxes, scores in found]
    return {
        "headline": {"ap": measures["ap"], "ap50": measures["ap50"]},
        "per_image": {
            "paths": [Path(frame.path).name for frame in frames],
            "ears": [len(boxes) for boxes in truth],
            "scores": [[float(score) for score in scores] for _, scores in kept],
            "matched": [
                matched_thresholds(boxes, true_boxes).tolist()
                for (boxes, _), true_boxes in zip(kept, truth, strict=True)
            ],
        },
        **_size(detector, detector.image_px),
    }


def _size(model: nn.Module, image_px: int) -> dict[str, Any]:
    """Parameters, and multiply-adds of one image."""
    import torch

    from teacher.models.cost import multiply_adds, parameter_counts

    image = torch.zeros(1, 3, image_px, image_px)
    return {
        "parameters": parameter_counts(model)["total"],
        "multiply_adds": multiply_adds(lambda: model(image)),
    }


def _training_facts(trained: Path) -> dict[str, Any]:
    """From the training's metrics and its stage's record: labels, seconds, settings, digest of the record."""
    metrics = read_json(trained / "metrics.json")
    record = read_record(trained) or {}
    identity = {key: record.get(key) for key in ("command", "version", "settings", "inputs", "upstream")}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return {
        "labels": metrics["labels"],
        "training": {name: metrics[name] for name in MODEL_FACTS if name in metrics},
        "seconds": record.get("seconds"),
        "settings": record.get("settings", {}),
        "fingerprint": digest[:16],
    }


def _rounded(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), DECIMALS) for value in values]


if __name__ == "__main__":
    run_command(Config, main)
