"""Landmarkers and EarDetectors behind one interface: photographs and boxes in, points out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.crop_settings import CropSettings
from students.inference.letterbox import boxes_in_frame, ear_crop, points_in_frame, unmirrored
from students.inference.rescoring import extent_box
from students.models.checkpoint import load_student, student_crops
from teacher.models.registry import load_model

BATCH_EARS = 32


@dataclass(frozen=True)
class PredictedPoints:
    """Points of N ears, each in the pixels of its photograph."""

    points_px: np.ndarray  # (N, K, 2) float32
    confidence: np.ndarray  # (N, K) float32, 0..1
    boxes_xyxy: np.ndarray | None = None  # (N, 4) float32, of an EarDetector only


class PointReader:
    """A landmarker, or an EarDetector, that takes photographs and boxes.

    image_px: side of its crops. crops: how those of its training were cut, and what its points are; where it
    has another number of points than `crops`, nothing is known of them, and they are not predicted in
    mirrored crops.
    """

    def __init__(
        self, model: torch.nn.Module, image_px: int, is_teacher: bool, crops: CropSettings | None = None
    ):
        self.model, self.image_px, self.is_teacher = model.eval(), image_px, is_teacher
        self.crops = crops or CropSettings()
        self.num_landmarks: int = model.hparams["num_landmarks"]
        known = self.crops.num_landmarks == self.num_landmarks
        self.names = list(self.crops.scheme.names) if known else None
        self.flip = self.crops.scheme.flip if known else None

    def read(
        self,
        photographs: Sequence[np.ndarray],
        boxes_xyxy: Sequence[np.ndarray],
        margin: float | None = None,
    ) -> PredictedPoints:
        """photographs: N of (H, W, 3) uint8; boxes_xyxy: N of (4,) px; margin: of the crops, by default that
        of the training.

        As in `students.inference.pipeline`: the points of each ear are predicted again in the box of their
        extent, with the margin of the training, plain and mirrored, and the mean of those two counts.
        """
        first = self._read_once(photographs, boxes_xyxy, self.crops.margin if margin is None else margin)
        pairs = zip(first.points_px, boxes_xyxy, strict=True)
        found = {row: box for row, pair in enumerate(pairs) if (box := extent_box(*pair)) is not None}
        if not found:
            return first
        rows = np.array(list(found))
        again = [photographs[row] for row in rows], list(found.values()), self.crops.margin
        parts = [self._read_once(*again)]
        if self.flip is not None:
            parts.append(self._read_once(*again, mirrored=True))
        for f in fields(PredictedPoints):
            if (values := getattr(first, f.name)) is not None:
                values[rows] = np.mean([getattr(part, f.name) for part in parts], axis=0)
        return first

    def _read_once(
        self,
        photographs: Sequence[np.ndarray],
        boxes_xyxy: Sequence[np.ndarray],
        margin: float,
        mirrored: bool = False,
    ) -> PredictedPoints:
        parts = []
        for start in range(0, len(photographs), BATCH_EARS):
            batch = slice(start, start + BATCH_EARS)
            parts.append(self._read_batch(photographs[batch], boxes_xyxy[batch], margin, mirrored))
        return join_predictions(parts)

    def _read_batch(
        self,
        photographs: Sequence[np.ndarray],
        boxes_xyxy: Sequence[np.ndarray],
        margin: float,
        mirrored: bool,
    ) -> PredictedPoints:
        pairs = zip(photographs, boxes_xyxy, strict=True)
        crops, matrices = zip(*(ear_crop(rgb, box, self.image_px, margin) for rgb, box in pairs), strict=True)
        images = torch.from_numpy(np.stack(crops))
        points_unit, confidence, edges_unit = self._forward(images.flip(-1) if mirrored else images)
        if mirrored:
            points_unit, confidence = unmirrored(points_unit, confidence, self.flip)
            edges_unit = None if edges_unit is None else _unmirrored_edges(edges_unit)
        points_px = [
            points_in_frame(points, matrix, self.image_px)
            for points, matrix in zip(points_unit, matrices, strict=True)
        ]
        boxes = None
        if edges_unit is not None:
            boxes = np.concatenate([
                boxes_in_frame(edges * self.image_px, matrix, rgb.shape)
                for edges, matrix, rgb in zip(edges_unit.numpy(), matrices, photographs, strict=True)
            ])  # fmt: skip
        return PredictedPoints(np.stack(points_px), confidence, boxes)

    def _forward(self, images: Tensor) -> tuple[np.ndarray, np.ndarray, Tensor | None]:
        """(B, 3, S, S) in [0, 1] -> points_unit (B, K, 2), confidence (B, K), edges_unit (B, 4) or None."""
        with torch.inference_mode():
            if not self.is_teacher:
                points_unit, confidence = self.model(images)
                return points_unit.numpy(), confidence.numpy(), None
            output = self.model.read(images * 2 - 1)  # the teacher's range is [-1, 1]
            return output.points_unit.numpy(), output.confidence.numpy(), output.edges_unit


def join_predictions(parts: Sequence[PredictedPoints]) -> PredictedPoints:
    """Those of several batches by one reader, at least one, as one."""
    boxes = None if parts[0].boxes_xyxy is None else np.concatenate([part.boxes_xyxy for part in parts])
    return PredictedPoints(
        np.concatenate([part.points_px for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        boxes,
    )


def load_point_reader(path: str | Path, is_teacher: bool) -> PointReader:
    """is_teacher: an EarDetector of teacher.finetune, else a student.pt that holds a landmarker.

    Raises UserError for a file that is missing or of another model.
    """
    if is_teacher:
        model = load_model(path, kind="EarDetector")
        return PointReader(model, model.image_size, is_teacher, model.crops)
    model = load_student(path, "landmarker")
    return PointReader(model, model.image_px, is_teacher, student_crops(path))


def _unmirrored_edges(edges_unit: Tensor) -> Tensor:
    """x1, y1, x2, y2 (B, 4) of a mirrored crop in unit coordinates -> of the crop itself."""
    edges_unit = edges_unit[:, [2, 1, 0, 3]] * edges_unit.new_tensor([-1, 1, -1, 1])
    return edges_unit + edges_unit.new_tensor([1, 0, 1, 0])
