"""What a worker of a loader does first."""

from __future__ import annotations

import cv2

from configs.processes.lifetime import end_with_parent


def prepare_worker(_worker: int) -> None:
    """End with the training, however it ends, and leave OpenCV's threads alone.

    Workers are the parallelism; OpenCV's own threads on top of them only fight.
    """
    end_with_parent()
    cv2.setNumThreads(0)
