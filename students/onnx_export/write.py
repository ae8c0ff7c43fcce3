"""A student as one ONNX file that says in its metadata what a user has to know of it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from configs.files import write_bytes
from data.crop_settings import CropSettings
from data.crops import GREY
from students.inference.onnx_landmarker import OUTPUTS as LANDMARKER_OUTPUTS
from students.models.checkpoint import kind_of

OUTPUTS = {"detector": ("boxes_xyxy", "scores"), "landmarker": LANDMARKER_OUTPUTS}
LARGEST_SIDE = 1024  # of the detector's input, in its strides of 32 px
MOST_EARS = 1024  # of a landmarker's batch


def export_student(student: nn.Module, path: Path, crops: CropSettings | None = None) -> Path:
    """Write one student, float32, atomically: a detector of one frame of any size, a landmarker of any number
    of crops; returns `path`.

    crops: those that a landmarker was trained on, by default the project's own.
    """
    kind = kind_of(student)
    batch = 1 if kind == "detector" else 2
    example = torch.rand(batch, 3, student.image_px, student.image_px)
    if kind == "detector":
        side = 32 * torch.export.Dim("side_32", min=1, max=LARGEST_SIDE)
        free = {2: side, 3: side}
    else:
        free = {0: torch.export.Dim("ears", min=1, max=MOST_EARS)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own deprecations
        program = torch.onnx.export(
            exportable(student), (example,), input_names=["image"], output_names=output_names(student),
            dynamo=True, external_data=False, verbose=False, dynamic_shapes=(free,),
        )  # fmt: skip
    model = program.model_proto
    _drop_traces(model)
    onnx.helper.set_model_props(model, _metadata(student, kind, crops or CropSettings()))
    onnx.checker.check_model(model)
    return write_bytes(path, model.SerializeToString())


def output_names(student: nn.Module) -> list[str]:
    """Of its ONNX file; a landmarker without scores has the first two alone."""
    names = list(OUTPUTS[kind_of(student)])
    return names if getattr(student, "scores", True) is not None else names[:2]


def exportable(student: nn.Module) -> nn.Module:
    """The student in eval mode with the outputs of its ONNX file: one frame's boxes and scores in 0..1."""
    return (SingleFrame(student) if kind_of(student) == "detector" else student).eval()


class SingleFrame(nn.Module):
    """A detector of one frame: (1, 3, S, S) in [0, 1] -> boxes_xyxy (M, 4) px and scores (M,) in 0..1."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, boxes_xyxy = self.detector(image)
        return boxes_xyxy.squeeze(0), torch.sigmoid(logits).squeeze(0)


def _metadata(student: nn.Module, kind: str, crops: CropSettings) -> dict[str, str]:
    """What `students.inference.pipeline` and other users of the file read."""
    metadata = {"pinna_kind": kind, "image_px": str(student.image_px), "input": "RGB, 0..1, (N, 3, S, S)"}
    if kind == "detector":
        return metadata | {
            "preprocessing": f"letterbox, centred, on grey {GREY}",
            "boxes": "xyxy pixels of the input",
        }
    metadata["margin"] = str(crops.margin)
    scheme = crops.scheme
    if len(scheme) == student.num_landmarks:
        metadata["landmark_names"] = json.dumps(list(scheme.names))
        metadata["flip"] = json.dumps(list(scheme.flip))
        metadata["curves"] = json.dumps(scheme.curves)
        if scheme.mean_shape_unit is not None:
            metadata["mean_shape_unit"] = json.dumps(scheme.mean_shape_unit.tolist())
    else:  # an older student.pt: nothing is known of its points
        metadata["landmark_names"] = json.dumps([f"point {index}" for index in range(student.num_landmarks)])
    return metadata | {"preprocessing": "square window: longer side of the box times 1 + 2 * margin"}


def _drop_traces(model: Any) -> None:
    """The exporter stores Python stack traces at every node: 150 kB of paths that no runtime reads."""
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
