"""An ONNX file against the torch model it was written from, on real inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from configs.errors import UserError
from data.images import read_image
from data.manifest import Manifest
from students.inference.letterbox import ear_crop, letterboxed, letterboxes
from students.inference.onnx_file import open_model
from students.models.checkpoint import kind_of
from students.onnx_export.write import exportable, output_names

CHECK_IMAGES = 16  # spread over the manifest: a wrong operator shows on any, and this takes seconds
TOLERANCE_PX = 0.05  # of a box or point, px of the model's input; rounding alone gives 0.0002
TOLERANCE_SCORE = 0.001  # of a score or confidence; rounding alone gives 4e-7


def real_inputs(student: nn.Module, manifest: Manifest, margin: float) -> list[np.ndarray]:
    """What the student sees of up to CHECK_IMAGES rows spread over the manifest: (N, 3, S, S) float32 in
    [0, 1], one array for each size it is run in, its own first.

    margin: of a landmarker's crops.
    """
    rows = np.unique(np.linspace(0, len(manifest) - 1, min(CHECK_IMAGES, len(manifest))).astype(int))
    images = [read_image(manifest.image_paths[row]) for row in rows]
    if kind_of(student) == "detector":
        return [
            np.stack([letterboxed(rgb, letterbox)[0] for rgb in images])
            for letterbox in letterboxes(student.image_px)
        ]
    boxes = manifest.boxes_xyxy[rows]
    cut = [ear_crop(rgb, box, student.image_px, margin)[0] for rgb, box in zip(images, boxes, strict=True)]
    return [np.stack(cut)]


def check(student: nn.Module, path: Path, inputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Largest differences between torch and the ONNX file, in pixels of the input and in score.

    inputs: as of `real_inputs`. Raises UserError beyond TOLERANCE_PX or TOLERANCE_SCORE; the file stays for
    inspection, named .rejected.
    """
    kind = kind_of(student)
    session, _ = open_model(path, kind, threads=1)
    model = exportable(student)
    pixels_per_unit = 1.0 if kind == "detector" else float(student.image_px)
    difference_px = difference_score = 0.0
    for image in (image for of_a_size in inputs for image in of_a_size):
        with torch.no_grad():
            places, *scores = (output.numpy() for output in model(torch.from_numpy(image[None])))
        onnx_places, *onnx_scores = session.run(output_names(student), {"image": image[None]})
        difference_px = max(difference_px, float(np.abs(places - onnx_places).max()) * pixels_per_unit)
        pairs = zip(scores, onnx_scores, strict=True)
        difference_score = max(difference_score, *(float(np.abs(a - b).max()) for a, b in pairs))
    images = len(inputs[0])
    # Written so that NaN fails too.
    if not (difference_px <= TOLERANCE_PX and difference_score <= TOLERANCE_SCORE):
        rejected = path.replace(path.with_suffix(".onnx.rejected"))
        raise UserError(
            f"The exported {kind} differs from torch by {difference_px:.3g} px and {difference_score:.3g} in "
            f"score on {images} images; allowed are {TOLERANCE_PX:g} px and {TOLERANCE_SCORE:g}. "
            f"The file is kept as {rejected}."
        )
    return {
        "max_difference_px": difference_px,
        "max_difference_score": difference_score,
        "checked_images": images,
    }
