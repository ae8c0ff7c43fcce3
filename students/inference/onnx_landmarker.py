"""A landmarker's ONNX file as a reader of points: crops cut from photographs, points given back in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.crop_settings import CropSettings
from data.crops import MARGIN
from data.landmarks import Scheme, load_scheme
from students.inference.letterbox import seen_through
from students.inference.onnx_file import CPU, Metadata, open_model
from students.inference.reading import CropView, PredictedPoints, in_photographs, read_points

OUTPUTS = ("points_unit", "confidence", "error_unit", "ear")  # the last two are missing in older files


class OnnxLandmarker:
    """The landmarker of a file of `students.export`.

    names: of its points, in order; curves: the lines to draw between them, a name and indices each; view: how
    its crops are cut.
    """

    def __init__(self, path: str | Path, threads: int = 0, providers: Sequence[str] = CPU) -> None:
        """Raises UserError for a file that is missing or not a landmarker of ours."""
        self.session, metadata = open_model(path, "landmarker", threads, providers)
        self._one_by_one = isinstance(self.session.get_inputs()[0].shape[0], int)  # files without a batch
        has = {output.name for output in self.session.get_outputs()}
        self._outputs = [name for name in OUTPUTS if name in has]
        self.names = tuple(metadata.landmark_names)
        margin = MARGIN if metadata.margin is None else metadata.margin
        self.view = CropView(metadata.image_px, margin, metadata.flip, _mean_shape(metadata))
        self.curves = default_curves(len(self.names)) if metadata.curves is None else metadata.curves

    def read(
        self, rgb: np.ndarray, boxes_xyxy: np.ndarray, looks: str, upright: bool = True
    ) -> PredictedPoints:
        """The points of the ears in boxes (n, 4) px, n > 0, of one photograph (H, W, 3) uint8; looks: as of
        `students.inference.reading.read_points`.
        """
        photographs = [rgb] * len(boxes_xyxy)
        return read_points(self._read_once, self.view, photographs, boxes_xyxy, looks, upright=upright)

    def read_near(self, rgb: np.ndarray, expected_px: Sequence[np.ndarray]) -> PredictedPoints:
        """One reading of n > 0 ears where their points (K, 2) px are expected, upright there."""
        matrices = [self.view.upright(points) for points in expected_px]
        return self._read_once([rgb] * len(matrices), matrices, False)

    def _read_once(
        self, photographs: Sequence[np.ndarray], matrices: Sequence[np.ndarray], mirrored: bool
    ) -> PredictedPoints:
        pairs = zip(photographs, matrices, strict=True)
        images = np.stack([seen_through(rgb, matrix, self.view.image_px) for rgb, matrix in pairs])
        if mirrored:
            images = np.ascontiguousarray(images[..., ::-1])
        return in_photographs(self.view, matrices, mirrored, *self.run(images))

    @property
    def crops(self) -> CropSettings:
        """How its crops are cut, and what its points are; the project's own where the file does not know."""
        view = self.view
        if view.flip is None:
            return CropSettings(view.margin)
        return CropSettings(view.margin, Scheme(self.names, self.curves, view.flip, view.mean_shape_unit))

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Crops (n, 3, S, S) float32 in [0, 1] -> those of OUTPUTS that the file has."""
        batches = np.split(images, len(images)) if self._one_by_one else [images]
        parts = [self.session.run(self._outputs, {"image": batch}) for batch in batches]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _mean_shape(metadata: Metadata) -> np.ndarray | None:
    """(K, 2) of the file, or, in older ones with the project's points, the project's; None for others."""
    if metadata.mean_shape_unit is not None:
        return np.array(metadata.mean_shape_unit, dtype=np.float32)
    scheme = load_scheme()
    return scheme.mean_shape_unit if list(scheme.names) == metadata.landmark_names else None


def default_curves(num_landmarks: int) -> dict[str, list[int]]:
    """name -> indices it joins, of the project's 17 points; none for points of another number."""
    scheme = load_scheme()
    return scheme.curves if len(scheme) == num_landmarks else {}
