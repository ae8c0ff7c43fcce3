"""Detector, then points in the boxes that it proposes: what a user of both models gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.boxes import paired_iou
from data.coco_ap import coco_ap
from data.manifest import Manifest
from data.metrics import landmark_report, nme
from students.evaluation.frame_detections import Frame, match
from students.evaluation.point_readers import PointReader
from students.evaluation.rescored_ears import ears_of
from students.inference.rescoring import frame_proposal, proposal_threshold


class EndToEnd:
    """Collects, frame by frame, the ears of one detector's proposals and `reader`'s points, as the pipeline.

    manifest: of the frames; without landmarks, or with others than the reader's, boxes alone are measured.
    name, detector: what they are called in metrics.json. score_threshold: of ears, for use.
    """

    def __init__(
        self, name: str, detector: str, reader: PointReader, manifest: Manifest, score_threshold: float
    ):
        self.name, self.detector = name, detector
        self._reader, self._manifest = reader, manifest
        self._score_threshold = score_threshold
        self._ears: list[tuple[np.ndarray, np.ndarray]] = []  # boxes and scores by frame, any score
        self._true_boxes: list[np.ndarray] = []
        self._points_px = np.full((len(manifest), reader.num_landmarks, 2), np.nan, dtype=np.float32)
        self._box_iou = np.zeros(len(manifest), dtype=np.float32)
        self._in_use = self._hits = self._ear_free = self._alarmed = 0

    def add(
        self,
        frames: Sequence[Frame],
        images: Sequence[np.ndarray],
        found: Sequence[tuple[np.ndarray, np.ndarray]],
    ) -> None:
        """Predict the points in the boxes found in some frames, and match the ears that come of it.

        frames, images (H, W, 3) uint8, found (boxes (n, 4) px and scores (n,)): one entry a frame.
        """
        least = proposal_threshold(self._score_threshold)
        proposals = [(boxes[scores >= least], scores[scores >= least]) for boxes, scores in found]
        ears = ears_of(self._reader, images, proposals)
        without_ear = [
            row
            for row, ((proposed, _), (_, scores, _)) in enumerate(zip(proposals, ears, strict=True))
            if len(proposed) and not (scores >= self._score_threshold).any()
        ]
        images_left = [images[row] for row in without_ear]
        whole = [frame_proposal(image.shape) for image in images_left]
        of_whole = ears_of(self._reader, images_left, whole, must_overlap=True)
        for row, itself in zip(without_ear, of_whole, strict=True):
            boxes, scores, points_px = map(np.concatenate, zip(itself, ears[row], strict=True))
            ears[row] = boxes, scores, points_px
        for frame, ears_of_frame in zip(frames, ears, strict=True):
            self._add_frame(frame, *ears_of_frame)

    def _add_frame(self, frame: Frame, boxes: np.ndarray, scores: np.ndarray, points_px: np.ndarray) -> None:
        self._ears.append((boxes, scores))
        self._true_boxes.append(frame.boxes_xyxy)
        used = scores >= self._score_threshold
        boxes, points_px = boxes[used], points_px[used]
        owner = match(boxes, frame.boxes_xyxy)
        hit = owner >= 0
        self._in_use += len(boxes)
        self._hits += int(hit.sum())
        self._ear_free += len(frame.rows) == 0
        self._alarmed += len(frame.rows) == 0 and len(boxes) > 0
        if hit.any():
            ears = frame.rows[hit]
            self._points_px[ears] = points_px[owner[hit]]
            self._box_iou[ears] = paired_iou(boxes[owner[hit]], self._manifest.boxes_xyxy[ears])

    def report(self) -> dict[str, Any]:
        """Boxes as of `data.coco_ap` (ap, ap50, ap75, recall50), over ears of any score.

        Beside it: detector; precision, recall, false_alarms and false_alarms_per_image of the ears in use;
        ear_free, the photographs without an ear, and alarmed, those of them in which one is in use; box_iou,
        the mean over the ears found; and, with landmarks, `data.metrics.landmark_report` over all ears, where
        one that was not found counts as missed.
        """
        found = self._box_iou > 0
        boxes = coco_ap(self._ears, self._true_boxes)
        report: dict[str, Any] = {
            "detector": self.detector,
            **{key: boxes[key] for key in ("ap", "ap50", "ap75", "recall50")},
            "precision": self._hits / self._in_use if self._in_use else 0.0,
            "recall": self._hits / len(self._manifest),
            "false_alarms": self._in_use - self._hits,
            "false_alarms_per_image": (self._in_use - self._hits) / len(self._ears),
            "ear_free": self._ear_free,
            "alarmed": self._alarmed,
            "box_iou": float(self._box_iou[found].mean()) if found.any() else None,
        }
        if not self.has_points:
            return report
        truth = self._manifest
        return report | landmark_report(
            self._points_px, truth.landmarks, truth.visibility, self._reader.names
        )

    @property
    def has_points(self) -> bool:
        """Whether the manifest has the points that are predicted."""
        landmarks = self._manifest.landmarks
        return landmarks is not None and landmarks.shape[1] == self._reader.num_landmarks

    def per_image(self) -> dict[str, np.ndarray]:
        """Arrays for per_image.npz, one row an ear; one not found has NaN points and infinite NME."""
        arrays = {f"end_to_end_{self.name}_box_iou": self._box_iou}
        if self.has_points:
            errors = nme(self._points_px, self._manifest.landmarks, self._manifest.visibility)
            arrays |= {
                f"end_to_end_{self.name}_points_px": self._points_px,
                f"end_to_end_{self.name}_nme": errors,
            }
        return arrays
