"""Points on crops of the true boxes, tighter and looser ones among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from data.boxes import paired_iou
from data.manifest import Manifest
from data.metrics import landmark_report, nme
from students.evaluation.box_tightness import BOX_MARGINS, tightness_report
from students.evaluation.frame_detections import frames_of, photographs
from students.evaluation.point_readers import PointReader
from students.inference.reading import PredictedPoints, join_predictions


def evaluate_crops(
    readers: Mapping[str, PointReader], manifest: Manifest
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What is measured of each model, by its name, and arrays crops_* with a row an ear for per_image.npz.

    manifest: ears with the readers' landmarks. Crops have the margin of a model's training, and a student's
    BOX_MARGINS too: `tightness`.
    """
    frames = [frame for frame in frames_of(manifest) if len(frame.rows)]
    parts: dict[str, dict[float, list[PredictedPoints]]] = {
        name: {margin: [] for margin in _margins(reader)} for name, reader in readers.items()
    }
    for part, images in photographs(frames):
        boxes = np.concatenate([frame.boxes_xyxy for frame in frames[part]])
        repeated = [image for image, frame in zip(images, frames[part], strict=True) for _ in frame.rows]
        for name, reader in readers.items():
            for margin, predicted in parts[name].items():
                predicted.append(reader.read(repeated, boxes, margin))
    ears = manifest.select(np.concatenate([frame.rows for frame in frames]))
    metrics: dict[str, Any] = {}
    per_image = {
        "crops_image_paths": ears.image_paths,
        "crops_boxes_xyxy": ears.boxes_xyxy,
        "crops_landmarks": ears.landmarks,
        "crops_visibility": ears.visibility,
    }
    for name, reader in readers.items():
        predicted_at = {margin: join_predictions(predicted) for margin, predicted in parts[name].items()}
        predicted = predicted_at[reader.crops.margin]
        metrics[name] = _report(reader, predicted_at, ears)
        per_image[f"crops_{name}_points_px"] = predicted.points_px
        per_image[f"crops_{name}_confidence"] = predicted.confidence
        per_image[f"crops_{name}_nme"] = nme(predicted.points_px, ears.landmarks, ears.visibility)
    return metrics, per_image


def _margins(reader: PointReader) -> tuple[float, ...]:
    own = reader.crops.margin
    return (own,) if reader.is_teacher else tuple(sorted({*BOX_MARGINS, own}))


def _report(
    reader: PointReader, predicted_at: Mapping[float, PredictedPoints], ears: Manifest
) -> dict[str, Any]:
    predicted = predicted_at[reader.crops.margin]
    report = landmark_report(predicted.points_px, ears.landmarks, ears.visibility, reader.names)
    if len(predicted_at) > 1:
        points_px_at = {margin: at.points_px for margin, at in predicted_at.items()}
        report["tightness"] = tightness_report(
            points_px_at, ears.landmarks, ears.visibility, reader.crops.margin
        )
    if predicted.boxes_xyxy is not None:
        report["box_iou"] = float(paired_iou(predicted.boxes_xyxy, ears.boxes_xyxy).mean())
    return report
