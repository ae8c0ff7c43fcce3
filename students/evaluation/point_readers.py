"""Landmarkers and EarDetectors behind one interface: photographs and boxes in, points out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.crop_settings import CropSettings
from students.inference.letterbox import boxes_in_frame, seen_through
from students.inference.onnx_landmarker import OnnxLandmarker
from students.inference.reading import (
    CropView,
    PredictedPoints,
    in_photographs,
    join_predictions,
    read_points,
)
from students.models.checkpoint import load_student, student_crops
from teacher.models.registry import load_model

BATCH_EARS = 32


class PointReader:
    """A landmarker, or an EarDetector, that takes photographs and boxes.

    image_px: side of its crops. crops: how those of its training were cut, and what its points are; where it
    has another number of points than `crops`, nothing is known of them, and they are not predicted in
    mirrored crops. looks: "one" or "many", as of `students.inference.reading.read_points`.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        image_px: int,
        is_teacher: bool,
        crops: CropSettings | None = None,
        looks: str = "many",
    ):
        self.model, self.image_px, self.is_teacher = model.eval(), image_px, is_teacher
        self.crops, self.looks = crops or CropSettings(), looks
        self.num_landmarks: int = model.hparams["num_landmarks"]
        known = self.crops.num_landmarks == self.num_landmarks
        self.names = list(self.crops.scheme.names) if known else None
        self.flip = self.crops.scheme.flip if known else None
        shape = self.crops.scheme.mean_shape_unit if known else None
        self.view = CropView(image_px, self.crops.margin, self.flip, shape)

    def read(
        self,
        photographs: Sequence[np.ndarray],
        boxes_xyxy: Sequence[np.ndarray],
        margin: float | None = None,
        upright: bool = True,
    ) -> PredictedPoints:
        """photographs: N of (H, W, 3) uint8; boxes_xyxy: N of (4,) px; margin: of the given boxes, by default
        that of the training. As in `students.inference.pipeline`: `students.inference.reading.read_points`.
        """
        return read_points(self._read_once, self.view, photographs, boxes_xyxy, self.looks, margin, upright)

    def _read_once(
        self, photographs: Sequence[np.ndarray], matrices: Sequence[np.ndarray], mirrored: bool
    ) -> PredictedPoints:
        parts = []
        for start in range(0, len(photographs), BATCH_EARS):
            batch = slice(start, start + BATCH_EARS)
            parts.append(self._read_batch(photographs[batch], matrices[batch], mirrored))
        return join_predictions(parts)

    def _read_batch(
        self, photographs: Sequence[np.ndarray], matrices: Sequence[np.ndarray], mirrored: bool
    ) -> PredictedPoints:
        pairs = zip(photographs, matrices, strict=True)
        images = torch.from_numpy(np.stack([seen_through(rgb, m, self.image_px) for rgb, m in pairs]))
        outputs, edges_unit = self._forward(images.flip(-1) if mirrored else images)
        predicted = in_photographs(self.view, matrices, mirrored, *outputs)
        if edges_unit is None:
            return predicted
        edges_unit = _unmirrored_edges(edges_unit) if mirrored else edges_unit
        boxes = np.concatenate([
            boxes_in_frame(edges * self.image_px, matrix, rgb.shape)
            for edges, matrix, rgb in zip(edges_unit.numpy(), matrices, photographs, strict=True)
        ])  # fmt: skip
        return replace(predicted, boxes_xyxy=boxes)

    def _forward(self, images: Tensor) -> tuple[tuple[np.ndarray, ...], Tensor | None]:
        """(B, 3, S, S) in [0, 1] -> points_unit (B, K, 2), confidence (B, K), with scores error_unit (B, K)
        and ear (B,); of an EarDetector edges_unit (B, 4).
        """
        with torch.inference_mode():
            if not self.is_teacher:
                return tuple(output.numpy() for output in self.model(images)), None
            output = self.model.read(images * 2 - 1)  # the teacher's range is [-1, 1]
            return (output.points_unit.numpy(), output.confidence.numpy()), output.edges_unit


def load_point_reader(path: str | Path, is_teacher: bool, looks: str = "many") -> PointReader:
    """is_teacher: an EarDetector of teacher.finetune, else a landmarker, in a student.pt or an ONNX file of
    `students.export`; looks: as of `PointReader`.

    Raises UserError for a file that is missing or of another model.
    """
    if is_teacher:
        model = load_model(path, kind="EarDetector")
        return PointReader(model, model.image_size, is_teacher, model.crops, looks)
    if Path(path).suffix == ".onnx":
        file = OnnxLandmarker(path)
        return PointReader(_OnnxNetwork(file), file.view.image_px, is_teacher, file.crops, looks)
    model = load_student(path, "landmarker")
    return PointReader(model, model.image_px, is_teacher, student_crops(path), looks)


class _OnnxNetwork(torch.nn.Module):
    """The network of an ONNX file, called as that of its student.pt."""

    def __init__(self, file: OnnxLandmarker) -> None:
        super().__init__()
        self._file, self.hparams = file, {"num_landmarks": len(file.names)}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(output) for output in self._file.run(images.numpy()))


def _unmirrored_edges(edges_unit: Tensor) -> Tensor:
    """x1, y1, x2, y2 (B, 4) of a mirrored crop in unit coordinates -> of the crop itself."""
    edges_unit = edges_unit[:, [2, 1, 0, 3]] * edges_unit.new_tensor([-1, 1, -1, 1])
    return edges_unit + edges_unit.new_tensor([1, 0, 1, 0])
