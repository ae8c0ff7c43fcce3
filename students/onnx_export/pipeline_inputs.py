"""What a network is given when the pipeline reads a manifest's pictures: letterboxes, or crops of ears."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from data.boxes import BOX_THRESHOLD, NMS_IOU
from data.images import read_image
from data.manifest import Manifest
from students.inference.onnx_detector import OnnxDetector
from students.inference.onnx_landmarker import OnnxLandmarker


def pipeline_inputs(path: Path, kind: str, manifest: Manifest, rows: Iterable[int]) -> list[np.ndarray]:
    """(N, 3, S, S) float32 in [0, 1], one array for each run of the network, in the pipeline's order.

    path: a file of `students.export`, of this kind. Of each row the detector's file is given all letterboxes
    of the picture, the landmarker's all readings of the ear: in its box, then in the box of the points found,
    plain and mirrored.
    """
    network = OnnxDetector(path, threads=1) if kind == "detector" else OnnxLandmarker(path, threads=1)
    network.session = recorder = _Recorder(network.session)
    for row in rows:
        rgb = read_image(manifest.image_paths[row])
        if kind == "detector":
            network.find(rgb, BOX_THRESHOLD, NMS_IOU, "many")
        else:
            network.read(rgb, manifest.boxes_xyxy[row][None], "many")
    return recorder.images


class _Recorder:
    """A session of ONNX Runtime that keeps what it is given."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.images: list[np.ndarray] = []

    def run(self, outputs: Any, inputs: dict[str, np.ndarray]) -> Any:
        self.images.append(inputs["image"])
        return self._session.run(outputs, inputs)
