"""Pseudo-labels of photographs: the boxes that a detector finds in them, with their scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from configs.errors import UserError
from data.coco_ap import coco_ap
from data.crop_settings import CropSettings
from data.manifest import Manifest
from students.evaluation.box_finders import BoxFinder, find_boxes, load_box_finder
from students.evaluation.frame_detections import Frame, frames_of, photographs
from students.evaluation.point_readers import PointReader
from students.evaluation.rescored_ears import ears_of
from students.inference.rescoring import proposal_threshold

NO_ROWS, NO_BOXES = np.empty(0, dtype=int), np.empty((0, 4), np.float32)
Found = tuple[np.ndarray, np.ndarray]  # boxes (n, 4) px and scores (n,) of one photograph


@dataclass(frozen=True)
class FrameLabeller:
    """A detector, or a teacher of frames; with a reader of points its boxes are rescored and refined."""

    detector: BoxFinder
    reader: PointReader | None = None

    def find(self, images: list[np.ndarray], least_score: float) -> list[Found]:
        """(H, W, 3) uint8 each -> boxes and scores from `least_score` on, of each."""
        found = find_boxes(self.detector, images)
        if self.reader is not None:
            least = proposal_threshold(least_score)
            proposals = [(boxes[scores >= least], scores[scores >= least]) for boxes, scores in found]
            found = [(boxes, scores) for boxes, scores, _ in ears_of(self.reader, images, proposals)]
        return [(boxes[scores >= least_score], scores[scores >= least_score]) for boxes, scores in found]


def pseudo_labelled_frames(
    labeller: FrameLabeller, photograph_paths: Sequence[str], crops: CropSettings, least_score: float
) -> Manifest:
    """The boxes found with `least_score` or more, and the photographs that show none, as a manifest."""
    paths: list[str] = []
    empty: list[str] = []
    boxes: list[np.ndarray] = [NO_BOXES]
    all_scores: list[np.ndarray] = [np.empty(0, np.float32)]
    frames = [Frame(path, NO_ROWS, NO_BOXES) for path in photograph_paths]
    for frame, (found, scores) in _found(labeller, frames, least_score):
        paths += [frame.path] * len(scores)
        boxes.append(found)
        all_scores.append(scores)
        if not len(scores):
            empty.append(frame.path)
    return Manifest(
        np.array(paths, dtype=str),
        np.concatenate(boxes),
        scores=np.concatenate(all_scores),
        empty_images=np.array(empty, dtype=str),
        crops=crops,
    )


@dataclass(frozen=True)
class FrameAcceptance:
    """Average precision of a labeller and of the twin on the same held-out frames."""

    ap: float
    twin_ap: float
    frames: int

    @property
    def admitted(self) -> bool:
        """Whether the labeller is the better one: one that is not can only spoil the student."""
        return self.ap > self.twin_ap

    def __str__(self) -> str:
        sign, outcome = (">", "are taken") if self.admitted else ("<=", "are NOT taken")
        return (
            f"labeller: AP {self.ap:.3f} on {self.frames} held-out frames {sign} {self.twin_ap:.3f} of the "
            f"twin, its boxes {outcome}"
        )


def judge_frame_labeller(
    labeller: FrameLabeller, twin: Path, held_out: Manifest, where: Path
) -> FrameAcceptance:
    """Both find boxes in the held-out frames, and the labeller is admitted where its AP is the higher one.

    twin: student.pt of a detector trained on the labels alone. Raises UserError for frames without ears.
    """
    if len(held_out) == 0:
        raise UserError(f"{where}: no ear in any photograph; held-out ears are needed to measure AP.")
    frames = frames_of(held_out)
    aps = []
    for judged in (labeller, FrameLabeller(load_box_finder(twin), labeller.reader)):
        found = [pair for _, pair in _found(judged, frames, 0.0)]
        aps.append(coco_ap(found, [frame.boxes_xyxy for frame in frames])["ap"])
    return FrameAcceptance(aps[0], aps[1], len(frames))


def _found(labeller: FrameLabeller, frames: list[Frame], least_score: float) -> Iterator[tuple[Frame, Found]]:
    for part, images in tqdm(photographs(frames), desc="frames", unit="batch"):
        yield from zip(frames[part], labeller.find(images, least_score), strict=True)
