"""Milliseconds of pipelines and their parts. What is compared takes turns: a busy hour hits all alike."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from students.benchmark.photographs import Photograph
from students.inference.letterbox import letterboxed, letterboxes, seen_through
from students.inference.pipeline import EarPipeline
from students.inference.tracking.tracker import EarTracker

WARM_UP = 3
FRAME_S = 0.04  # of the video
Run = Callable[[], dict[str, float]]  # once, all parts -> seconds of each


def interleaved(runs: Mapping[str, Run], repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    """{name: {part: {"ms": median, "ms_90": 90th percentile}}}. In each round every run has a turn."""
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for _ in range(WARM_UP + repeats):
        for name, run in runs.items():
            seconds[name].append(run())
    return {name: _percentiles(rows[WARM_UP:]) for name, rows in seconds.items()}


def whole_call(pipeline: EarPipeline, photograph: Photograph) -> Run:
    """The whole call alone."""
    return lambda: {"whole call": _seconds(lambda: pipeline(photograph.image))}


def all_parts(pipeline: EarPipeline, photograph: Photograph) -> Run:
    """The whole call and its parts, the boxes alone, the points in the box of the first ear, and a frame of a
    video in which the ears found before are followed.

    Of the whole call: `networks` are ONNX Runtime's runs in it; `preparing` is what cuts as many inputs from
    the photograph, timed by itself; `postprocessing` is the rest. Puts stopwatches into the pipeline.
    """
    detector, landmarker = pipeline.detector, pipeline.landmarker
    detector.session, landmarker.session = _Stopwatch(detector.session), _Stopwatch(landmarker.session)
    image, box = photograph.image, photograph.boxes_xyxy[0]
    boxes = letterboxes(detector.image_px, pipeline.looks)
    tracker, times_s = EarTracker(pipeline, look_every_s=math.inf), itertools.count(0.0, FRAME_S)
    tracker(image, next(times_s))

    def run() -> dict[str, float]:
        detector.session.reset()
        landmarker.session.reset()
        whole = _seconds(lambda: pipeline(image))
        networks = detector.session.seconds + landmarker.session.seconds
        preparing = _seconds(lambda: [letterboxed(image, letterbox) for letterbox in boxes])
        crops = landmarker.session.images
        preparing += crops * _seconds(
            lambda: seen_through(image, landmarker.view.matrix(box), landmarker.view.image_px)
        )
        return {
            "whole call": whole,
            "preparing": preparing,
            "networks": networks,
            "postprocessing": whole - preparing - networks,
            "boxes alone": _seconds(lambda: pipeline.boxes(image)),
            "points in a box": _seconds(lambda: pipeline.landmarks(image, box)),
            "followed in a video": _seconds(lambda: tracker(image, next(times_s))),
        }

    return run


class _Stopwatch:
    """A session of ONNX Runtime that adds up the seconds of its runs and the images that they were given."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.reset()

    def reset(self) -> None:
        self.seconds, self.images = 0.0, 0

    def run(self, outputs: Any, inputs: dict[str, np.ndarray]) -> Any:
        start_s = time.perf_counter()
        found = self._session.run(outputs, inputs)
        self.seconds += time.perf_counter() - start_s
        self.images += len(inputs["image"])
        return found


def _seconds(work: Callable[[], Any]) -> float:
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def _percentiles(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    found = {}
    for part in rows[0]:
        milliseconds = 1000 * np.array([row[part] for row in rows])
        found[part] = {
            "ms": float(np.median(milliseconds)),
            "ms_90": float(np.percentile(milliseconds, 90)),
        }
    return found
