"""EarPipeline: a photograph in, ears with boxes and points out, on ONNX Runtime alone (no torch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import UserError
from data.boxes import BOX_THRESHOLD, NMS_IOU
from data.landmarks import load_scheme
from students.inference.checks import checked_box, checked_image
from students.inference.onnx_detector import OnnxDetector
from students.inference.onnx_file import CPU, int8_file
from students.inference.onnx_landmarker import OnnxLandmarker
from students.inference.reading import LOOKS
from students.inference.rescoring import (
    EAR_THRESHOLD,
    frame_proposal,
    proposal_threshold,
    rescore_and_suppress,
)

_SHIPPED = Path(__file__).resolve().parent.parent / "pretrained"
PRETRAINED = (_SHIPPED / "detector.onnx", _SHIPPED / "landmarker.onnx")


@dataclass(frozen=True)
class Ear:
    """One ear of a photograph, in its pixels."""

    box_xyxy: np.ndarray  # (4,) float32; edges, pixel i covers [i, i + 1]
    score: float  # 0..1, as of students.inference.rescoring.ear_score
    points_px: np.ndarray  # (K, 2) float32; pixel centres at integers; may lie outside the photograph
    point_confidence: np.ndarray  # (K,) float32, 0..1
    point_error_px: np.ndarray | None = None  # (K,) float32, expected distance from the truth


class EarPipeline:
    """The two students as one object.

    >>> ears = EarPipeline.pretrained()(rgb)  # rgb: (H, W, 3) uint8 of any size

    detector_onnx, landmarker_onnx: files of `students.export`. score_threshold: ears below it are dropped.
    nms_iou: boxes that overlap a better one by more are suppressed. threads: of ONNX Runtime, 0 for its own
    choice. looks: "many" sees a photograph in three letterboxes and reads each ear's points three times;
    "one" does each once. providers: ONNX Runtime's execution providers by name, the preferred one first,
    such as ["CUDAExecutionProvider", "CPUExecutionProvider"]. `landmark_names` names the points, in order;
    `curves` are the lines to draw between them, a name and indices each.

    Raises UserError for files that are missing or not ours, and for a provider that is not there.
    """

    def __init__(
        self,
        detector_onnx: str | Path,
        landmarker_onnx: str | Path,
        score_threshold: float = EAR_THRESHOLD,
        nms_iou: float = NMS_IOU,
        threads: int = 0,
        looks: str = "many",
        providers: Sequence[str] = CPU,
    ):
        if looks not in LOOKS:
            raise UserError(f"looks={looks!r}: allowed are {' and '.join(LOOKS)}.")
        self.looks = looks
        self.score_threshold, self.nms_iou = score_threshold, nms_iou
        self.detector, self.landmarker = (
            OnnxDetector(detector_onnx, threads, providers),
            OnnxLandmarker(landmarker_onnx, threads, providers),
        )
        self.landmark_names, self.curves = self.landmarker.names, self.landmarker.curves

    @classmethod
    def pretrained(cls, int8: bool = False, **options: Any) -> EarPipeline:
        """The students that ship with the project, trained on rendered ears (students/pretrained/README.md).

        int8: the quantised files, smaller and quicker. options: as of the class.
        """
        return cls(*(int8_file(path) if int8 else path for path in PRETRAINED), **options)

    @classmethod
    def from_run(cls, run_dir: str | Path, int8: bool = False, **options: Any) -> EarPipeline:
        """The students that a run exported: run_dir/export/detector.onnx and landmarker.onnx.

        int8: detector.int8.onnx and landmarker.int8.onnx instead. options: as of the class. Raises UserError
        when the files are not there, saying how to make them.
        """
        folder = Path(run_dir) / "export"
        paths = [folder / "detector.onnx", folder / "landmarker.onnx"]
        paths = [int8_file(path) for path in paths] if int8 else paths
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            reason = "" if Path(run_dir).is_dir() else f" ({run_dir} is not a folder)"
            raise UserError(
                f"No exported students in this run: {' and '.join(missing)} missing{reason}. Write them with "
                f"`python -m distill.run RECIPE.yaml --until export{' --set export.int8=true' * int8}`, or "
                f"`python -m students.export --detector student.pt --landmarker student.pt{' --int8' * int8} "
                f"--output-dir {folder}`."
            )
        return cls(*paths, **options)

    def curves_of_scheme(self, path: str | Path) -> dict[str, list[int]]:
        """The curves of a scheme file for these points. UserError where it names another number of them."""
        scheme = load_scheme(path)
        if len(scheme) != len(self.landmark_names):
            raise UserError(
                f"{path} names {len(scheme)} points, the landmarker predicts {len(self.landmark_names)}."
            )
        return scheme.curves

    def __call__(self, rgb: np.ndarray) -> list[Ear]:
        """(H, W, 3) uint8 RGB of any size -> ears, best first; an empty list when there are none.

        The points are predicted in every box that the detector proposes; boxes are rescored and refined by
        them (`students.inference.rescoring`). Where no proposal turns out to be an ear, the photograph itself
        is tried as one. Raises UserError for what is no image.
        """
        rgb = checked_image(rgb)
        boxes, scores = self._boxes(rgb, proposal_threshold(self.score_threshold))
        if not len(boxes):
            return []
        ears = self._ears(rgb, boxes, scores)
        return ears or self._ears(rgb, *frame_proposal(rgb.shape), must_overlap=True)

    def boxes(self, rgb: np.ndarray, score_threshold: float = BOX_THRESHOLD) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (N, 5) float32: x1, y1, x2, y2 in pixels and score, best first.

        Of the detector alone: quicker than the call, and less accurate. score_threshold: of its scores, which
        are not those of the ears. Raises UserError for what is no image.
        """
        return np.column_stack(self._boxes(checked_image(rgb), score_threshold))

    def landmarks(self, rgb: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
        """The points of the ear in `box_xyxy` (4,) px -> (K, 2) float32, pixels of the same photograph.

        How often they are predicted `looks` says (`students.inference.reading.read_points`). Raises UserError
        for what is no image, and for a box that is empty, inverted or outside it.
        """
        rgb = checked_image(rgb)
        box = np.asarray(checked_box(box_xyxy, rgb.shape), dtype=np.float32)
        return self.landmarker.read(rgb, box[None], self.looks).points_px[0]

    def _boxes(self, rgb: np.ndarray, score_threshold: float) -> tuple[np.ndarray, np.ndarray]:
        return self.detector.find(rgb, score_threshold, self.nms_iou, self.looks)

    def _ears(
        self, rgb: np.ndarray, boxes_xyxy: np.ndarray, box_scores: np.ndarray, must_overlap: bool = False
    ) -> list[Ear]:
        read = self.landmarker.read(rgb, boxes_xyxy, self.looks, upright=not must_overlap)
        rescored = rescore_and_suppress(
            boxes_xyxy, box_scores, read.points_px, read.sureness, rgb.shape, self.nms_iou, must_overlap
        )
        errors = [None] * len(read) if read.error_px is None else read.error_px
        return [
            Ear(box, float(score), read.points_px[row], read.confidence[row], errors[row])
            for box, score, row in zip(*rescored, strict=True)
            if score >= self.score_threshold
        ]


def open_pipeline(
    run_dir: Path | None, detector_onnx: Path | None, landmarker_onnx: Path | None, score_threshold: float
) -> EarPipeline:
    """The pipeline of the files given, then of those that a run exported, then of those that ship.

    Raises UserError as `EarPipeline` and `EarPipeline.from_run` do.
    """
    if run_dir is not None and detector_onnx is None and landmarker_onnx is None:
        return EarPipeline.from_run(run_dir, score_threshold=score_threshold)
    detector, landmarker = PRETRAINED
    if run_dir is not None:
        detector, landmarker = (run_dir / "export" / path.name for path in PRETRAINED)
    return EarPipeline(detector_onnx or detector, landmarker_onnx or landmarker, score_threshold)
