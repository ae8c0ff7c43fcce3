"""Boxes that a detector takes for ears in photographs whose ears are known."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from data.boxes import box_iou
from data.manifest import Manifest
from students.evaluation.box_finders import BoxFinder, find_boxes
from students.evaluation.frame_detections import frames_of, photographs

LEAST_SCORE = 0.05  # below it a pipeline never proposes a box
MOST_OF_ONE = 6  # of a photograph: the detector's best, so that a crowd does not fill the manifest
DOUBTFUL_SCORE = 0.5  # where a model found the ears: it may have missed what the detector is as sure of
MAX_IOU = 0.2  # with an ear: a box that shares more may be one badly drawn
MIN_SIDE_PX = 8.0  # the longer side


def hard_negatives(detector: BoxFinder, frames: Manifest) -> Manifest:
    """The boxes and scores of `students.evaluation.box_finders.find_boxes` that lie on no box of frames.

    frames: photographs with all their ears, and photographs without. Where these were found by a model, boxes
    with a score from DOUBTFUL_SCORE on are left out.
    """
    paths: list[str] = []
    boxes: list[np.ndarray] = [np.empty((0, 4), np.float32)]
    all_scores: list[np.ndarray] = [np.empty(0, np.float32)]
    every, sure = frames_of(frames), np.inf if frames.scores is None else DOUBTFUL_SCORE
    for part, images in tqdm(photographs(every), desc="frames", unit="batch"):
        for frame, (found, scores) in zip(every[part], find_boxes(detector, images), strict=True):
            apart = box_iou(found, frame.boxes_xyxy).max(axis=1, initial=0) <= MAX_IOU
            large = (found[:, 2:] - found[:, :2]).max(axis=1, initial=0) >= MIN_SIDE_PX
            rows = np.flatnonzero(apart & large & (scores >= LEAST_SCORE) & (scores < sure))[:MOST_OF_ONE]
            paths += [frame.path] * len(rows)
            boxes.append(found[rows])
            all_scores.append(scores[rows])
    return Manifest(
        np.array(paths, dtype=str),
        np.concatenate(boxes),
        scores=np.concatenate(all_scores),
        crops=frames.crops,
    )
