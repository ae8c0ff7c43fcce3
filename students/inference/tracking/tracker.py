"""EarTracker: the frames of a video in, ears with identities out; the detector looks now and then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from configs.errors import UserError
from data.boxes import box_iou
from students.inference.checks import checked_image
from students.inference.pipeline import Ear, EarPipeline
from students.inference.reading import PredictedPoints
from students.inference.rescoring import bordered, points_extent, within_frame
from students.inference.tracking.one_euro import USUAL, Smoothing
from students.inference.tracking.track import Track

SAME_EAR_IOU = 0.3  # of a read ear and the expected one, or of one that the detector sees
TWICE_IOU = 0.5  # of two tracks: they follow one ear
STILL_SURE = 0.45  # mean confidence of the points, or probability of an ear: below, it is lost
MOST_MISSED_LOOKS = 2  # of the detector in a row, after which what is followed was no ear


@dataclass(frozen=True)
class TrackedEar(Ear):
    """An ear of a frame that is the same one as in other frames: its `identity`, counted from 0."""

    identity: int = 0
    since_s: float = 0.0  # time of the frame in which it was first seen


class EarTracker:
    """Ears of a video, frame by frame.

    >>> tracker = EarTracker(EarPipeline.pretrained(looks="one"))
    >>> ears = tracker(rgb, time_s)  # of each frame in order

    The pipeline looks at the whole frame when there is nothing to follow, and every `look_every_s` seconds.
    Between, the points of each ear are read once, where the last motion carries them. An ear that is not
    found there is kept in mind for `remember_s` seconds: if it comes back near its place by then, it is the
    same one. smoothing: of the points, None for none.
    """

    def __init__(
        self,
        pipeline: EarPipeline,
        look_every_s: float = 0.5,
        remember_s: float = 1.5,
        smoothing: Smoothing | None = USUAL,
    ) -> None:
        """Raises UserError for times below 0."""
        if look_every_s < 0 or remember_s < 0:
            raise UserError(f"look_every_s={look_every_s}, remember_s={remember_s}: both must be at least 0.")
        self.pipeline, self.look_every_s, self.remember_s = pipeline, look_every_s, remember_s
        self.smoothing = smoothing
        self._tracks: list[Track] = []
        self._identities = 0
        self._time_s, self._looked_s = -np.inf, -np.inf

    def __call__(self, rgb: np.ndarray, time_s: float) -> list[TrackedEar]:
        """(H, W, 3) uint8 of the frame at time_s -> the ears that are seen in it, in the order of appearance.

        Raises UserError for what is no image, and for a time that is not later than the last frame's.
        """
        rgb = checked_image(rgb)
        if not time_s > self._time_s:
            raise UserError(f"a frame at {time_s} s after one at {self._time_s} s: times must rise.")
        self._time_s = time_s
        self._tracks = [track for track in self._tracks if time_s - track.seen_s <= self.remember_s]
        found = self._follow(rgb)
        if not found or time_s - self._looked_s >= self.look_every_s:
            self._look(rgb, found)
        seen = [track for track in self._tracks if track.identity in found]
        return [_ear(track, rgb.shape, *found[track.identity]) for track in seen]

    def _follow(self, rgb: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray | None]]:
        """{identity: confidence (K,) and errors (K,) px or None} of the tracks that are still seen."""
        if not self._tracks:
            return {}
        expected = [track.expected_px(self._time_s) for track in self._tracks]
        read = self.pipeline.landmarker.read_near(rgb, expected)
        places = np.stack([points_extent(points) for points in read.points_px])
        wanted = np.stack([points_extent(points) for points in expected])
        overlap = box_iou(places, wanted).diagonal()
        found: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
        kept: list[np.ndarray] = []
        for row, track in enumerate(self._tracks):
            again = any(box_iou(places[row], other)[0, 0] > TWICE_IOU for other in kept)
            if read.sureness[row] < STILL_SURE or overlap[row] < SAME_EAR_IOU or again:
                continue
            kept.append(places[row])
            track.follow(read.points_px[row], self._time_s)
            found[track.identity] = _row(read, row)
        return found

    def _look(self, rgb: np.ndarray, found: dict[int, tuple[np.ndarray, np.ndarray | None]]) -> None:
        """The whole frame by the pipeline: new ears, old ones that came back, and followed ones that are
        none.
        """
        self._looked_s = self._time_s
        seen = set()
        for ear in self.pipeline(rgb):
            box = points_extent(ear.points_px)
            overlaps = [
                box_iou(box, points_extent(track.expected_px(self._time_s)))[0, 0] for track in self._tracks
            ]
            track = self._tracks[int(np.argmax(overlaps))] if overlaps else None
            if track is None or max(overlaps) < SAME_EAR_IOU or track.identity in seen:
                track = Track(self._identities, ear.points_px, ear.score, self._time_s, self.smoothing)
                self._identities += 1
                self._tracks.append(track)
                found[track.identity] = ear.point_confidence, ear.point_error_px
            elif track.identity not in found:
                track.follow(ear.points_px, self._time_s)
                found[track.identity] = ear.point_confidence, ear.point_error_px
            track.score, track.missed_looks = ear.score, 0
            seen.add(track.identity)
        for track in self._tracks:
            track.missed_looks += track.identity in found and track.identity not in seen
        self._tracks = [track for track in self._tracks if track.missed_looks < MOST_MISSED_LOOKS]


def _ear(
    track: Track, frame_shape: tuple[int, ...], confidence: np.ndarray, error_px: np.ndarray | None
) -> TrackedEar:
    box = within_frame(bordered(points_extent(track.smoothed_px)), frame_shape)
    points_px, identity, since_s = track.smoothed_px, track.identity, track.since_s
    return TrackedEar(box, track.score, points_px, confidence, error_px, identity, since_s)


def _row(read: PredictedPoints, row: int) -> tuple[np.ndarray, np.ndarray | None]:
    return read.confidence[row], None if read.error_px is None else read.error_px[row]
