"""Videos: frames of a file or camera, one after the other, and a file that appears only when it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from configs.errors import UserError, WriteError
from configs.files import bytes_free, file_size_limit, full_disk_is_a_user_error
from students.inference.inputs import Input

DEFAULT_FRAMES_PER_S = 25.0  # for a camera that gives no rate


class VideoFrames:
    """Frames (H, W, 3) uint8 RGB of a video file or a camera, one after the other.

    `frames_per_s` is the file's or a guess for a camera. Raises UserError when it cannot be opened.
    """

    def __init__(self, source: Input):
        if source.kind == "video" and not Path(source.where).is_file():
            raise UserError(f"{source.where}: no such video.")
        self._capture = cv2.VideoCapture(int(source.where) if source.kind == "camera" else source.where)
        if not self._capture.isOpened():
            what = f"camera {source.where}" if source.kind == "camera" else source.where
            raise UserError(f"{what}: cannot be opened as a video.")
        frames_per_s = self._capture.get(cv2.CAP_PROP_FPS)
        self.frames_per_s = frames_per_s if 1 <= frames_per_s <= 1000 else DEFAULT_FRAMES_PER_S

    def __iter__(self) -> Iterator[np.ndarray]:
        try:
            while True:
                there, bgr = self._capture.read()
                if not there:
                    return
                yield np.ascontiguousarray(bgr[..., ::-1])
        finally:
            self._capture.release()


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
