"""Measure landmarkers, EarDetector and detectors on ground-truth crops and end to end.

Points are measured on crops of the true boxes (students also on tighter and looser ones), boxes by COCO's
average precision, and both together end to end, as `students.inference.pipeline` does: points are predicted
in the boxes that the detector proposes, which are rescored and refined by them. Ears that are not found are
counted and reported beside the error of those that are.

Writes metrics.json, tables.md, curves.json (error and precision curves) and per_image.npz.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from configs.command import run_command
from configs.errors import UserError
from configs.groups import Fixed, Gone, Removed
from configs.provenance import write_provenance
from data.boxes import BOX_THRESHOLD
from students.inference.rescoring import EAR_THRESHOLD

if TYPE_CHECKING:
    import numpy as np

# 2: tightness; 3: points predicted twice; 4: boxes rescored; 5: mirrored crops; 6: three letterboxes a frame
# 7: alarms on photographs without an ear
VERSION = 7


@dataclass(frozen=True)
class Config:
    """Measure landmarkers, EarDetector and detectors on ground-truth crops and end to end."""

    output_dir: Path
    """Folder for metrics.json, tables.md, curves.json and per_image.npz."""
    landmarker: Path | None = None
    """student.pt or ONNX file of the landmarker."""
    landmarker_twin: Path | None = None
    """The same of the landmarker trained without the teacher."""
    ear_detector: Path | None = None
    """Checkpoint of the EarDetector, best.ckpt of teacher.finetune."""
    detector: Path | None = None
    """student.pt or ONNX file of the detector, or best.ckpt of a teacher of frames (teacher.frames)."""
    detector_twin: Path | None = None
    """The same of the detector trained without the teacher."""
    ears_npy: Path | None = None
    """Manifest of ears with landmarks, test_labelled.npy: for points on crops of the true boxes."""
    frames_npy: Path | None = None
    """Manifest of whole photographs, test_frames.npy: for boxes, and end to end if it has landmarks."""
    consistency: bool = False
    """Also measure how far readings of one ear differ when it is turned, mirrored, lit otherwise: on the
    boxes of frames_npy, or else of ears_npy.
    """
    score_threshold: float = EAR_THRESHOLD
    """Ears with a lower score do not count as found end to end, 0 to 1."""
    looks: Literal["one", "many"] = "many"
    """How often a photograph and an ear are looked at: `EarPipeline(..., looks=...)`."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "landmarks": Removed("the manifests say what the points are: data.prepare --scheme"),
        "match_iou": Fixed(0.5, "as in AP50"),
    }

    def __post_init__(self) -> None:
        """Raise UserError where nothing can be measured."""
        if not 0 <= self.score_threshold <= 1:
            raise UserError(f"score_threshold is {self.score_threshold}, allowed is 0 to 1.")
        readers, detectors = self.readers(), self.detectors()
        if not readers and not detectors:
            raise UserError("Nothing to evaluate: give --landmarker, --detector or other checkpoints.")
        if self.ears_npy is None and self.frames_npy is None:
            raise UserError(
                "No test set: give --ears-npy (test_labelled.npy), --frames-npy (test_frames.npy) or both."
            )
        if not (
            (readers and (self.ears_npy or detectors or self.consistency)) or (detectors and self.frames_npy)
        ):
            raise UserError(
                "The models given do not fit the test sets: points need --ears-npy, boxes --frames-npy."
            )

    def readers(self) -> dict[str, Path]:
        """{name in metrics.json: checkpoint} of the models of points that are given."""
        return self._given("landmarker", "landmarker_twin", "ear_detector")

    def detectors(self) -> dict[str, Path]:
        """{name in metrics.json: checkpoint} of the detectors that are given."""
        return self._given("detector", "detector_twin")

    def _given(self, *names: str) -> dict[str, Path]:
        return {name: path for name in names if (path := getattr(self, name)) is not None}


def main(config: Config) -> Path:
    """Evaluate every model given on every manifest given. Raises UserError as their files are read, and for
    ears that are cut otherwise, or have other points, than a model's.
    """
    from data.manifest import read_manifest
    from students.evaluation.box_finders import load_box_finder
    from students.evaluation.consistency import evaluate_consistency
    from students.evaluation.crops import evaluate_crops
    from students.evaluation.frame_detections import MATCH_IOU
    from students.evaluation.frames import evaluate_frames
    from students.evaluation.point_readers import load_point_reader
    from students.evaluation.results import write_results
    from students.evaluation.test_sets import read_test_ears, read_test_frames

    readers = {
        name: load_point_reader(path, name == "ear_detector", config.looks)
        for name, path in config.readers().items()
    }
    detectors = {name: load_box_finder(path) for name, path in config.detectors().items()}
    metrics: dict[str, Any] = {}
    per_image: dict[str, np.ndarray] = {}
    if config.ears_npy is not None and readers:
        metrics, per_image = evaluate_crops(readers, read_test_ears(config.ears_npy, readers))
    if config.frames_npy is not None and detectors:
        frames = read_test_frames(config.frames_npy, readers)
        of_frames, arrays = evaluate_frames(readers, detectors, frames, config.score_threshold, config.looks)
        for name, report in of_frames.items():
            metrics[name] = metrics.get(name, {}) | report
        per_image |= arrays
    if config.consistency and readers:
        ears = read_manifest(config.frames_npy or config.ears_npy)
        of_ears, arrays = evaluate_consistency(readers, ears)
        for name, report in of_ears.items():
            metrics[name] = metrics.get(name, {}) | report
        per_image |= arrays
    metrics["settings"] = {
        "looks": config.looks,
        "score_threshold": config.score_threshold,
        "box_threshold": BOX_THRESHOLD,
        "match_iou": MATCH_IOU,
    }
    print(write_results(config.output_dir, metrics, per_image))
    write_provenance(config.output_dir, config)
    return config.output_dir


if __name__ == "__main__":
    run_command(Config, main)
