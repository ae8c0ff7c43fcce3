"""How large an ONNX file is, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

WARM_UP_RUNS = 20
BLOCKS = 5
RUNS = 100  # in a block: about a second of the detector


def size_and_time(path: Path, inputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Size in MB (10^6 bytes) and milliseconds an image on one thread: median, and 10th percentile.

    inputs: of one image, (1, 3, S, S) float32, in each size that is run; the first is the model's own.

    Of the quickest of several blocks of RUNS: what else the machine does can only make a block slower.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    seconds = []
    for _ in range(WARM_UP_RUNS + BLOCKS * RUNS):
        start_s = time.perf_counter()
        for image in inputs:
            session.run(None, {"image": image})
        seconds.append(time.perf_counter() - start_s)
    blocks = 1000 * np.array(seconds[WARM_UP_RUNS:]).reshape(BLOCKS, RUNS)
    milliseconds = min(blocks, key=np.median)
    return {
        "onnx_mb": path.stat().st_size / 1e6,
        "ms_1_thread": float(np.median(milliseconds)),
        "ms_1_thread_p10": float(np.percentile(milliseconds, 10)),
        "timing_runs": RUNS,
        "image_px": inputs[0].shape[-1],
    }
