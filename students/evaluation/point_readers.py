"""The models that read points from crops, students and teacher alike, as one thing to evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from data.crops import MARGIN
from data.landmarks import load_scheme
from students.inference.letterbox import boxes_in_frame, ear_view, points_in_frame, unmirrored
from students.inference.rescoring import second_box
from students.models.checkpoint import load_student

BATCH_EARS = 32


@dataclass(frozen=True)
class Reading:
    """Points of N ears, each in the pixels of its photograph."""

    points_px: np.ndarray  # (N, K, 2) float32
    confidence: np.ndarray  # (N, K) float32, 0..1
    boxes_xyxy: np.ndarray | None = None  # (N, 4) float32, of an EarDetector only


class PointReader:
    """A landmarker, or an EarDetector, that takes photographs and boxes.

    flip: what mirroring does to the points, `Scheme.flip`; None where that is not known, and then nothing is
    read mirrored.
    """

    def __init__(
        self, model: torch.nn.Module, image_px: int, is_teacher: bool, flip: Sequence[int] | None = None
    ):
        self.model, self.image_px, self.is_teacher, self.flip = model.eval(), image_px, is_teacher, flip
        self.num_landmarks: int = model.hparams["num_landmarks"]

    def read(
        self,
        photographs: Sequence[np.ndarray],
        boxes_xyxy: Sequence[np.ndarray],
        margin: float = MARGIN,
    ) -> Reading:
        """photographs: N of (H, W, 3) uint8; boxes_xyxy: N of (4,) px. The crop is the box + `margin`.

        As in `students.inference.pipeline`: each ear is read again in the box of its points + 10 %, plain and
        mirrored, and the mean of those two counts.
        """
        first = self._read_once(photographs, boxes_xyxy, margin)
        pairs = zip(first.points_px, boxes_xyxy, strict=True)
        found = {row: box for row, pair in enumerate(pairs) if (box := second_box(*pair)) is not None}
        if not found:
            return first
        rows = np.array(list(found))
        again = [photographs[row] for row in rows], list(found.values()), MARGIN
        readings = [self._read_once(*again)]
        if self.flip is not None:
            readings.append(self._read_once(*again, mirrored=True))
        for f in fields(Reading):
            if (values := getattr(first, f.name)) is not None:
                values[rows] = np.mean([getattr(reading, f.name) for reading in readings], axis=0)
        return first

    def _read_once(
        self,
        photographs: Sequence[np.ndarray],
        boxes_xyxy: Sequence[np.ndarray],
        margin: float,
        mirrored: bool = False,
    ) -> Reading:
        parts = [
            self._read_batch(
                photographs[start : start + BATCH_EARS],
                boxes_xyxy[start : start + BATCH_EARS],
                margin,
                mirrored,
            )
            for start in range(0, len(photographs), BATCH_EARS)
        ]
        boxes = None if parts[0].boxes_xyxy is None else np.concatenate([part.boxes_xyxy for part in parts])
        return Reading(
            np.concatenate([part.points_px for part in parts]),
            np.concatenate([part.confidence for part in parts]),
            boxes,
        )

    def _read_batch(
        self,
        photographs: Sequence[np.ndarray],
        boxes_xyxy: Sequence[np.ndarray],
        margin: float,
        mirrored: bool,
    ) -> Reading:
        pairs = zip(photographs, boxes_xyxy, strict=True)
        views, matrices = zip(*(ear_view(rgb, box, self.image_px, margin) for rgb, box in pairs), strict=True)
        images = torch.from_numpy(np.stack(views))
        if mirrored:
            images = images.flip(-1)
        edges_unit = None
        with torch.inference_mode():
            if self.is_teacher:
                reading = self.model.read(images * 2 - 1)  # the teacher's range is [-1, 1]
                points_unit, confidence, edges_unit = (
                    reading.points_unit,
                    reading.confidence,
                    reading.edges_unit,
                )
            else:
                points_unit, confidence = self.model(images)
        if mirrored:
            points_unit, confidence = unmirrored(points_unit.numpy(), confidence.numpy(), self.flip)
            if edges_unit is not None:
                edges_unit = edges_unit[:, [2, 1, 0, 3]] * edges_unit.new_tensor([-1, 1, -1, 1])
                edges_unit = edges_unit + edges_unit.new_tensor([1, 0, 1, 0])
        points_unit, confidence = np.asarray(points_unit), np.asarray(confidence)
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
        return Reading(np.stack(points_px), confidence, boxes)


def load_point_reader(path: str | Path, is_teacher: bool, scheme: Path | None = None) -> PointReader:
    """is_teacher: an EarDetector of teacher.finetune, else a student.pt that holds a landmarker.

    scheme: file of its landmarks, by default the 17 points; where it has another number of points, nothing
    is read mirrored.
    """
    if is_teacher:
        from teacher.models.registry import load_model

        model = load_model(path, kind="EarDetector")
        image_px = model.image_size
    else:
        model = load_student(path, "landmarker")
        image_px = model.image_px
    known = load_scheme(scheme)
    flip = known.flip if len(known) == model.hparams["num_landmarks"] else None
    return PointReader(model, image_px, is_teacher, flip)
