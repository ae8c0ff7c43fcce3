"""A detector's ONNX file as a finder of boxes: a photograph in its letterboxes, boxes given back in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from configs.errors import UserError
from students.inference.boxes import detections_numpy, merged
from students.inference.letterbox import found_in_frame, letterboxed, letterboxes
from students.inference.onnx_file import CPU, open_model


class OnnxDetector:
    """The detector of a file of `students.export`. image_px: side of the letterbox it was trained on."""

    def __init__(self, path: str | Path, threads: int = 0, providers: Sequence[str] = CPU) -> None:
        """Raises UserError for a file that is missing or not a detector of ours, or one of an older kind."""
        self.session, metadata = open_model(path, "detector", threads, providers)
        if isinstance(side_px := self.session.get_inputs()[0].shape[-1], int):
            raise UserError(
                f"{path}: takes squares of {side_px} px alone, as students.export wrote it "
                "before frames were seen in two sizes. Export its student.pt again."
            )
        self.image_px = metadata.image_px

    def find(
        self, rgb: np.ndarray, score_threshold: float, nms_iou: float, looks: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 -> boxes (n, 4) px and scores (n,), best first; looks: as of `letterboxes`."""
        parts = []
        for letterbox in letterboxes(self.image_px, looks):
            planes, matrix = letterboxed(rgb, letterbox)
            boxes, scores = self.session.run(["boxes_xyxy", "scores"], {"image": planes[None]})
            boxes, scores = detections_numpy(scores, boxes, score_threshold, nms_iou)
            parts.append(found_in_frame(boxes, scores, matrix, letterbox, rgb.shape))
        return merged(parts, nms_iou)
