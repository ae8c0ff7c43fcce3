"""Detector, then points on the box it found: what a user of both models gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.manifest import Manifest
from students.boxes import paired_iou_numpy
from students.frames import Frame, match
from students.readers import PointReader


class EndToEnd:
    """Collects, frame by frame, the points that `reader` finds on the boxes of one detector.

    manifest: of the frames, with landmarks. name, detector: what they are called in metrics.json.
    """

    def __init__(self, name: str, detector: str, reader: PointReader, manifest: Manifest):
        self.name, self.detector = name, detector
        self._reader, self._manifest = reader, manifest
        self._points_px = np.full(manifest.landmarks.shape, np.nan, dtype=np.float32)
        self._box_iou = np.zeros(len(manifest), dtype=np.float32)
        self._false_alarms = 0

    def add(
        self,
        frames: Sequence[Frame],
        images: Sequence[np.ndarray],
        found: Sequence[tuple[np.ndarray, np.ndarray]],
        score_threshold: float,
        min_iou: float,
    ) -> None:
        """Match the boxes found in some frames to their ears and read the points of those."""
        crops_of, boxes_of, rows_of = [], [], []
        for frame, image, (boxes, scores) in zip(frames, images, found, strict=True):
            kept = boxes[scores >= score_threshold]
            owner = match(kept, frame.boxes_xyxy, min_iou)
            self._false_alarms += len(kept) - int((owner >= 0).sum())
            for row, index in zip(frame.rows, owner, strict=True):
                if index >= 0:
                    crops_of.append(image)
                    boxes_of.append(kept[index])
                    rows_of.append(row)
        if rows_of:
            self._points_px[rows_of] = self._reader.read(crops_of, boxes_of).points_px
            self._box_iou[rows_of] = paired_iou_numpy(np.stack(boxes_of), self._manifest.boxes_xyxy[rows_of])

    def report(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """`data.metrics.landmark_report` over all ears; one that was not found counts as missed there.

        Beside it: detector, false_alarms (boxes on no ear), box_iou (mean over the ears found).
        """
        from data.metrics import landmark_report

        found = self._box_iou > 0
        report = landmark_report(self._points_px, self._manifest.landmarks, self._manifest.visibility, names)
        return {
            "detector": self.detector,
            "false_alarms": self._false_alarms,
            "box_iou": float(self._box_iou[found].mean()) if found.any() else None,
            **report,
        }

    def per_image(self) -> dict[str, np.ndarray]:
        """Arrays for per_image.npz, one row an ear; one not found has NaN points and infinite NME."""
        from data.metrics import nme

        errors = nme(self._points_px, self._manifest.landmarks, self._manifest.visibility)
        return {
            f"end_to_end_{self.name}_points_px": self._points_px,
            f"end_to_end_{self.name}_nme": errors,
            f"end_to_end_{self.name}_box_iou": self._box_iou,
        }
