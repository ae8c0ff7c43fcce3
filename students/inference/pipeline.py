"""EarPipeline: a photograph in, ears with boxes and points out, on ONNX Runtime alone (no torch)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from configs.errors import UserError
from data.crops import MARGIN
from students.inference.boxes import BOX_THRESHOLD, NMS_IOU, detections_numpy, merged
from students.inference.letterbox import (
    ear_view,
    found_in_frame,
    frame_view,
    frame_views,
    points_in_frame,
    unmirrored,
)
from students.inference.rescoring import (
    EAR_THRESHOLD,
    proposal_threshold,
    rescore_and_suppress,
    second_box,
    whole_frame,
)

_SHIPPED = Path(__file__).resolve().parent.parent / "pretrained"
PRETRAINED = (_SHIPPED / "detector.onnx", _SHIPPED / "landmarker.onnx")
MAX_SIDE_PX = 32_766  # OpenCV's warp addresses pixels with 16 bits


@dataclass(frozen=True)
class Ear:
    """One ear of a photograph, in its pixels."""

    box_xyxy: np.ndarray  # (4,) float32; edges, pixel i covers [i, i + 1]
    score: float  # 0..1, as of second_look.ear_score
    points_px: np.ndarray  # (K, 2) float32; pixel centres at integers; may lie outside the photograph
    point_confidence: np.ndarray  # (K,) float32, 0..1


class EarPipeline:
    """The two students as one object.

    >>> ears = EarPipeline.pretrained()(rgb)  # rgb: (H, W, 3) uint8 of any size

    detector_onnx, landmarker_onnx: files of `students.export`. score_threshold: ears below it are dropped.
    threads: of ONNX Runtime, 0 for its own choice. `landmark_names` names the points, in order.
    """

    def __init__(
        self,
        detector_onnx: str | Path,
        landmarker_onnx: str | Path,
        score_threshold: float = EAR_THRESHOLD,
        nms_iou: float = NMS_IOU,
        threads: int = 0,
    ):
        self.score_threshold, self.nms_iou = score_threshold, nms_iou
        self._detector, detector = open_model(detector_onnx, "detector", threads)
        self._landmarker, landmarker = open_model(landmarker_onnx, "landmarker", threads)
        if isinstance(side_px := self._detector.get_inputs()[0].shape[-1], int):
            raise UserError(
                f"{detector_onnx}: takes squares of {side_px} px alone, as students.export wrote it "
                "before frames were seen in two sizes. Export its student.pt again."
            )
        self._frame_px, self._crop_px = int(detector["image_px"]), int(landmarker["image_px"])
        self._margin = float(landmarker.get("margin", MARGIN))
        self._flip: list[int] | None = json.loads(landmarker.get("flip", "null"))
        self.landmark_names: tuple[str, ...] = tuple(json.loads(landmarker["landmark_names"]))

    @classmethod
    def pretrained(cls, **options: Any) -> EarPipeline:
        """The students that ship with the project, trained on rendered ears (students/pretrained/README.md).

        options: as of the class.
        """
        return cls(*PRETRAINED, **options)

    @classmethod
    def from_run(cls, run_dir: str | Path, **options: Any) -> EarPipeline:
        """The students that a run exported: run_dir/export/detector.onnx and landmarker.onnx.

        options: as of the class. Raises UserError when the files are not there, saying how to make them.
        """
        folder = Path(run_dir) / "export"
        paths = [folder / "detector.onnx", folder / "landmarker.onnx"]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            reason = "" if Path(run_dir).is_dir() else f" ({run_dir} is not a folder)"
            raise UserError(
                f"No exported students in this run: {' and '.join(missing)} missing{reason}. Write them with "
                f"`python -m distill.run RECIPE.yaml --until export`, or `python -m students.export "
                f"--detector student.pt --landmarker student.pt --output-dir {folder}`."
            )
        return cls(*paths, **options)

    def __call__(self, rgb: np.ndarray) -> list[Ear]:
        """(H, W, 3) uint8 RGB of any size -> ears, best first; an empty list when there are none.

        The points are read in all that the detector proposes, and have their say in what is an ear and where
        its box ends (`students.inference.rescoring`). Where no proposal turns out to be an ear, the
        photograph itself may be one.
        """
        rgb = checked_image(rgb)
        boxes, scores = self._boxes(rgb, proposal_threshold(self.score_threshold))
        if not len(boxes):
            return []
        ears = self._ears(rgb, boxes, scores)
        return ears or self._ears(rgb, *whole_frame(rgb.shape), fitting=True)

    def boxes(self, rgb: np.ndarray, score_threshold: float = BOX_THRESHOLD) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (N, 5) float32: x1, y1, x2, y2 in pixels and score, best first.

        The detector's word alone: quicker than the call, and less sure. score_threshold: of its scores, which
        are not those of the ears.
        """
        return np.column_stack(self._boxes(checked_image(rgb), score_threshold))

    def landmarks(self, rgb: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
        """The points of the ear in `box_xyxy` (4,) px -> (K, 2) float32, pixels of the same photograph.

        Read in the box, then again in the box of its points (`students.inference.rescoring.second_box`),
        plain and mirrored, of which the mean is given.
        """
        rgb = checked_image(rgb)
        return self._points(rgb, checked_box(box_xyxy, rgb.shape))[0]

    def _boxes(self, rgb: np.ndarray, score_threshold: float) -> tuple[np.ndarray, np.ndarray]:
        parts = []
        for view in frame_views(self._frame_px):
            planes, matrix = frame_view(rgb, view)
            boxes_view, scores = self._detector.run(["boxes_xyxy", "scores"], {"image": planes[None]})
            boxes_view, scores = detections_numpy(scores, boxes_view, score_threshold, self.nms_iou)
            parts.append(found_in_frame(boxes_view, scores, matrix, view, rgb.shape))
        return merged(parts, self.nms_iou)

    def _ears(
        self, rgb: np.ndarray, boxes_xyxy: np.ndarray, box_scores: np.ndarray, fitting: bool = False
    ) -> list[Ear]:
        read = (self._points(rgb, box) for box in boxes_xyxy)
        points_px, confidence = map(np.stack, zip(*read, strict=True))
        settled = rescore_and_suppress(
            boxes_xyxy, box_scores, points_px, confidence, rgb.shape, self.nms_iou, fitting
        )
        return [
            Ear(box, float(score), points_px[row], confidence[row])
            for box, score, row in zip(*settled, strict=True)
            if score >= self.score_threshold
        ]

    def _points(self, rgb: np.ndarray, box_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points_px, confidence = self._read(rgb, box_xyxy)
        box = second_box(points_px, box_xyxy)
        if box is None:
            return points_px, confidence
        plain = self._read(rgb, box)
        if self._flip is None:
            return plain
        mirrored = self._read(rgb, box, mirrored=True)
        return (plain[0] + mirrored[0]) / 2, (plain[1] + mirrored[1]) / 2

    def _read(
        self, rgb: np.ndarray, box_xyxy: np.ndarray, mirrored: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        view, matrix = ear_view(rgb, box_xyxy, self._crop_px, self._margin)
        if mirrored:
            view = np.ascontiguousarray(view[..., ::-1])
        (points_unit,), (confidence,) = self._landmarker.run(
            ["points_unit", "confidence"], {"image": view[None]}
        )
        if mirrored:
            points_unit, confidence = unmirrored(points_unit, confidence, self._flip)
        return points_in_frame(points_unit, matrix, self._crop_px), confidence


def open_model(path: str | Path, kind: str, threads: int = 0) -> tuple[Any, dict[str, str]]:
    """An ONNX Runtime session on the CPU and the file's metadata. UserError if it is no `kind` of ours."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file. Students are exported by `python -m students.export`.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but Exception
        raise UserError(
            f"{path}: not an ONNX model that can be read ({str(error).splitlines()[0]})."
        ) from error
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get("pinna_kind") != kind:
        found = metadata.get("pinna_kind", "a model that students.export did not write")
        raise UserError(f"{path}: a {kind} is wanted here, found {found}.")
    return session, metadata


def checked_image(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8, contiguous. Raises UserError for anything else, saying what to do."""
    found = f"{rgb.dtype} of shape {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
    if not isinstance(rgb, np.ndarray) or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise UserError(
            f"An image is a numpy array (H, W, 3), RGB; found {found}. data.read_image reads files."
        )
    if rgb.dtype != np.uint8:
        raise UserError(f"An image is uint8, 0 to 255; found {found}. Scale it and use .astype(numpy.uint8).")
    if min(rgb.shape) < 1:
        raise UserError(f"The image is empty: {found}.")
    if max(rgb.shape) > MAX_SIDE_PX:
        raise UserError(f"The image is too large, at most {MAX_SIDE_PX:,} px a side: found {found}.")
    return np.ascontiguousarray(rgb)


def checked_box(box_xyxy: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """(4,) float32. UserError for a box that is not four numbers, inverted, empty or beside the image."""
    try:
        box = np.asarray(box_xyxy, dtype=np.float32)
    except (TypeError, ValueError):
        raise UserError(f"A box is four numbers x1, y1, x2, y2 in pixels; found {box_xyxy!r}.") from None
    if box.shape != (4,) or not np.isfinite(box).all():
        raise UserError(f"A box is four finite numbers x1, y1, x2, y2 in pixels; found {box_xyxy!r}.")
    if not (box[2:] > box[:2]).all():
        raise UserError(
            f"The box {box.tolist()} is empty or inverted; x1 < x2 and y1 < y2 are wanted (xyxy, not xywh)."
        )
    height, width = image_shape[:2]
    if not ((box[:2] < (width, height)).all() and (box[2:] > 0).all()):
        raise UserError(f"The box {box.tolist()} lies outside the image of {width} x {height} px.")
    return box
