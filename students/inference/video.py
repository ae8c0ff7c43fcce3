"""Videos: frames of a file, camera or stream in order, and a file that appears only when it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from configs.errors import UserError, WriteError
from configs.files import bytes_free, file_size_limit, full_disk_is_a_user_error
from data.image_kinds.likely_cause import likely_cause
from students.inference.inputs import Input

DEFAULT_FRAMES_PER_S = 25.0  # for a camera or file that gives no rate


class VideoFrames:
    """Pairs of a time in s and a frame (H, W, 3) uint8 RGB, of a video file, a camera or a stream.

    The time is the frame's own, as the file has it: of a variable rate too. A camera's is by the clock, from
    its first frame on. A frame without a time gets one of a frame later than the last, and counts in
    `times_counted_on`. `frames_per_s` is the file's mean rate, or, where `rate_is_assumed`, an invented one.
    `promised` is the number of frames that a file says it has, 0 where it does not say. Raises UserError when
    it cannot be opened.
    """

    def __init__(self, source: Input):
        if source.kind == "video" and not Path(source.where).is_file():
            raise UserError(f"{source.where}: no such video.")
        self._is_camera = source.kind == "camera"
        self._capture = cv2.VideoCapture(int(source.where) if self._is_camera else source.where)
        if not self._capture.isOpened():
            raise UserError(_why_not(source))
        frames_per_s = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate_is_assumed = not 1 <= frames_per_s <= 1000
        self.frames_per_s = DEFAULT_FRAMES_PER_S if self.rate_is_assumed else frames_per_s
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if source.kind == "video" else 0
        self.promised = int(count) if 0 < count < 1e9 else 0
        self.times_counted_on = 0

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        last_s, started_s = None, None
        try:
            while True:
                there, bgr = self._capture.read()
                if not there:
                    return
                now_s = time.monotonic()
                started_s = now_s if started_s is None else started_s
                own_s = (
                    now_s - started_s if self._is_camera else self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                )
                if last_s is None:
                    last_s = max(own_s, 0.0)
                elif own_s > last_s:
                    last_s = own_s
                else:
                    last_s += 1 / self.frames_per_s
                    self.times_counted_on += 1
                yield last_s, np.ascontiguousarray(bgr[..., ::-1])
        finally:
            self._capture.release()

    def notes(self, came: int) -> list[str]:
        """What a user should know of `came` frames and their times."""
        notes = []
        if came < self.promised:
            notes.append(f"{came} frames came of {self.promised} that the file promises")
        if self.rate_is_assumed:
            notes.append(f"no frame rate is given, {self.frames_per_s:g} frames a second are assumed")
        if self.times_counted_on:
            notes.append(f"{self.times_counted_on} frames have no time of their own, counted on by the rate")
        return notes


class VideoFile:
    """MP4 of (H, W, 3) uint8 RGB frames of one size; the last row or column of odd sizes is dropped."""

    def __init__(self, path: Path, frames_per_s: float):
        self._path, self._frames_per_s = path, frames_per_s
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._writer: cv2.VideoWriter | None = None
        self._frames = 0

    def add(self, rgb: np.ndarray) -> None:
        """Append one frame. Raises UserError when the file cannot be made."""
        # the codec stores colour at half resolution
        height, width = (side - side % 2 for side in rgb.shape[:2])
        if self._writer is None:
            with full_disk_is_a_user_error(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._part.touch()
            codec = cv2.VideoWriter_fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._part), codec, self._frames_per_s, (width, height))
            if not self._writer.isOpened():
                self._part.unlink(missing_ok=True)
                raise UserError(
                    f"{self._path}: OpenCV cannot write MP4 here; use --no-overlays to do without."
                )
        self._frames += 1
        self._writer.write(np.ascontiguousarray(rgb[:height, :width, ::-1]))

    def close(self) -> None:
        """Finish the file and give it its name; nothing appears when no frame came.

        Raises WriteError unless it holds every frame: OpenCV does not say when the disk takes no more.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        written, size_bytes = _count_frames(self._part), self._part.stat().st_size
        if written != self._frames:
            self._part.unlink(missing_ok=True)
            limit = file_size_limit()
            raise WriteError(
                f"{self._path}: only {written} of {self._frames} frames could be written: more than "
                f"{size_bytes:,} bytes are needed, {bytes_free(self._path):,} are free"
                f"{'' if limit is None else f', and a file may have {limit:,} (ulimit -f)'}. "
                "Free some space or use --no-overlays, then run the command again."
            )
        os.replace(self._part, self._path)

    def discard(self) -> None:
        """Leave nothing, of a video that was not predicted to its end."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        self._part.unlink(missing_ok=True)


def _count_frames(path: Path) -> int:
    """Frames that a video's own index names, 0 for one that cannot be opened."""
    capture = cv2.VideoCapture(str(path))
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()


def _why_not(source: Input) -> str:
    if source.kind == "camera":
        return f"camera {source.where}: cannot be opened; is it there, and used by no other program?"
    if source.kind == "stream":
        return f"{source.shown}: the stream cannot be opened; is the address right, and can it be reached?"
    cause = likely_cause(source.where)
    return f"{source.where}: cannot be opened as a video{f' ({cause})' if cause else ''}."
