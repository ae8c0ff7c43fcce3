"""A video file written frame by frame, that appears only when it is whole."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from configs.errors import UserError
from configs.files import full_disk_is_a_user_error


class VideoFile:
    """MP4 of (H, W, 3) uint8 RGB frames of one size; the last row or column of odd sizes is dropped."""

    def __init__(self, path: Path, frames_per_s: float):
        self._path, self._frames_per_s = path, frames_per_s
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._writer = None

    def add(self, rgb: np.ndarray) -> None:
        """Append one frame. Raises UserError when the file cannot be made."""
        import cv2

        height, width = (
            side - side % 2 for side in rgb.shape[:2]
        )  # the codec stores colour at half resolution
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
        self._writer.write(np.ascontiguousarray(rgb[:height, :width, ::-1]))

    def close(self) -> None:
        """Finish the file and give it its name; nothing appears when no frame came."""
        if self._writer is not None:
            self._writer.release()
            os.replace(self._part, self._path)
            self._writer = None
