"""Detector, then points in the boxes it proposes: what a user of both models gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.manifest import Manifest
from students.boxes import paired_iou_numpy
from students.frames import Frame, match
from students.readers import PointReader
from students.second_look import proposal_threshold, settle


class EndToEnd:
    """Collects, frame by frame, the ears of one detector's proposals and `reader`'s points, as the pipeline.

    manifest: of the frames; without landmarks, or with others than the reader's, boxes alone are measured.
    name, detector: what they are called in metrics.json. score_threshold: of ears, for use. min_iou: a box is
    an ear's if they overlap at least so much.
    """

    def __init__(
        self,
        name: str,
        detector: str,
        reader: PointReader,
        manifest: Manifest,
        score_threshold: float,
        min_iou: float,
    ):
        self.name, self.detector = name, detector
        self._reader, self._manifest = reader, manifest
        self._score_threshold, self._min_iou = score_threshold, min_iou
        self._ears: list[tuple[np.ndarray, np.ndarray]] = []  # boxes and scores by frame, any score
        self._true_boxes: list[np.ndarray] = []
        self._points_px = np.full((len(manifest), reader.num_landmarks, 2), np.nan, dtype=np.float32)
        self._box_iou = np.zeros(len(manifest), dtype=np.float32)
        self._in_use = self._hits = 0

    def add(
        self,
        frames: Sequence[Frame],
        images: Sequence[np.ndarray],
        found: Sequence[tuple[np.ndarray, np.ndarray]],
    ) -> None:
        """Read the points in the boxes found in some frames, and match the ears that come of it."""
        least = proposal_threshold(self._score_threshold)
        proposals = [(boxes[scores >= least], scores[scores >= least]) for boxes, scores in found]
        counts = [len(scores) for _, scores in proposals]
        if sum(counts) == 0:
            read_in = [(np.empty((0, self._reader.num_landmarks, 2)), np.empty((0, 1)))] * len(frames)
        else:
            repeated = [image for image, count in zip(images, counts, strict=True) for _ in range(count)]
            reading = self._reader.read(repeated, np.concatenate([boxes for boxes, _ in proposals]))
            ends = np.cumsum(counts)[:-1]
            read_in = list(
                zip(np.split(reading.points_px, ends), np.split(reading.confidence, ends), strict=True)
            )
        for frame, image, proposed, read in zip(frames, images, proposals, read_in, strict=True):
            self._add_frame(frame, image.shape, proposed, read)

    def _add_frame(
        self,
        frame: Frame,
        shape: tuple[int, ...],
        proposed: tuple[np.ndarray, np.ndarray],
        read: tuple[np.ndarray, np.ndarray],
    ) -> None:
        boxes, scores, rows = settle(*proposed, *read, shape)
        self._ears.append((boxes, scores))
        self._true_boxes.append(frame.boxes_xyxy)
        used = scores >= self._score_threshold
        boxes, rows = boxes[used], rows[used]
        owner = match(boxes, frame.boxes_xyxy, self._min_iou)
        hit = owner >= 0
        self._in_use += len(boxes)
        self._hits += int(hit.sum())
        if hit.any():
            ears = frame.rows[hit]
            self._points_px[ears] = read[0][rows[owner[hit]]]
            self._box_iou[ears] = paired_iou_numpy(boxes[owner[hit]], self._manifest.boxes_xyxy[ears])

    def report(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Boxes as of `students.coco_ap` (ap, ap50, ap75, recall50), over the proposals that were read.

        Beside it: detector; precision, recall, false_alarms and false_alarms_per_image of the ears in use;
        box_iou, their mean over the ears found; and, with landmarks, `data.metrics.landmark_report` over all
        ears, where one that was not found counts as missed.
        """
        from data.metrics import landmark_report
        from students.coco_ap import coco_ap

        found = self._box_iou > 0
        boxes = coco_ap(self._ears, self._true_boxes)
        report: dict[str, Any] = {
            "detector": self.detector,
            **{key: boxes[key] for key in ("ap", "ap50", "ap75", "recall50")},
            "precision": self._hits / self._in_use if self._in_use else 0.0,
            "recall": self._hits / len(self._manifest),
            "false_alarms": self._in_use - self._hits,
            "false_alarms_per_image": (self._in_use - self._hits) / len(self._ears),
            "box_iou": float(self._box_iou[found].mean()) if found.any() else None,
        }
        if not self.has_points:
            return report
        truth = self._manifest
        return report | landmark_report(self._points_px, truth.landmarks, truth.visibility, names)

    @property
    def has_points(self) -> bool:
        """Whether the manifest has the points that are read."""
        landmarks = self._manifest.landmarks
        return landmarks is not None and landmarks.shape[1] == self._reader.num_landmarks

    def per_image(self) -> dict[str, np.ndarray]:
        """Arrays for per_image.npz, one row an ear; one not found has NaN points and infinite NME."""
        from data.metrics import nme

        arrays = {f"end_to_end_{self.name}_box_iou": self._box_iou}
        if self.has_points:
            errors = nme(self._points_px, self._manifest.landmarks, self._manifest.visibility)
            arrays |= {
                f"end_to_end_{self.name}_points_px": self._points_px,
                f"end_to_end_{self.name}_nme": errors,
            }
        return arrays
