"""Student detectors and teachers of frames behind one interface: photographs in, boxes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from data.boxes import EVALUATION_SCORE, NMS_IOU
from students.inference.boxes import merged
from students.inference.letterbox import found_in_frame, letterboxed, letterboxes
from students.inference.onnx_detector import OnnxDetector
from students.models.checkpoint import load_student
from teacher.checkpoint import read_torch
from teacher.frames.reading import read_frame
from teacher.models.dense.frame_teacher import FrameTeacher
from teacher.models.dense.postprocess import detections
from teacher.models.registry import load_model

BoxFinder = torch.nn.Module | OnnxDetector


def load_box_finder(path: str | Path) -> BoxFinder:
    """The student detector of a student.pt or of an ONNX file of `students.export`, or the teacher of frames
    of a best.ckpt, in eval mode.

    Raises UserError for a file that is missing or of another model.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        return OnnxDetector(path)
    if path.is_file() and "hyper_parameters" in read_torch(path):
        teacher = load_model(path, "FrameTeacher")
        teacher.pyramid.trunk.run_frozen()
        return teacher
    return load_student(path, "detector")


def find_boxes(
    detector: BoxFinder, images: Sequence[np.ndarray], looks: str = "many"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """B photographs -> B pairs of boxes (n, 4), px of the photograph, and scores (n,), best first.

    A student sees each in one letterbox or many, as in `students.inference.pipeline`; a teacher of frames
    reads it as `teacher.frames.reading.read_frame`. All with a score of at least EVALUATION_SCORE.
    """
    if isinstance(detector, FrameTeacher):
        return [read_frame(detector, rgb) for rgb in images]
    if isinstance(detector, OnnxDetector):
        return [detector.find(rgb, EVALUATION_SCORE, NMS_IOU, looks) for rgb in images]
    parts: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in images]
    for letterbox in letterboxes(detector.image_px, looks):
        planes, matrices = zip(*(letterboxed(rgb, letterbox) for rgb in images), strict=True)
        with torch.inference_mode():
            found = detections(
                *detector(torch.from_numpy(np.stack(planes))), score_threshold=EVALUATION_SCORE
            )
        for part, (boxes, scores), matrix, rgb in zip(parts, found, matrices, images, strict=True):
            part.append(found_in_frame(boxes.numpy(), scores.numpy(), matrix, letterbox, rgb.shape))
    return [merged(part) for part in parts]
