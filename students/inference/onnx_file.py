"""ONNX files of `students.export`, opened and checked: type and shape of the input, outputs, metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from configs.errors import UserError
from data.image_kinds.likely_cause import likely_cause

# What `students.inference.pipeline` needs of each kind.
_OUTPUTS = {"detector": ("boxes_xyxy", "scores"), "landmarker": ("points_unit", "confidence")}
_NUMBERS = ("image_px", "margin")
_JSON = {"landmark_names": list, "flip": list, "curves": dict, "mean_shape_unit": list}
_NEEDED = {"detector": ("image_px",), "landmarker": ("image_px", "landmark_names")}
_AGAIN = "Export its student.pt again, by `python -m students.export`"


def int8_file(path: Path) -> Path:
    """Where `students.export --int8` puts the quantised NAME.onnx: NAME.int8.onnx beside it."""
    return path.with_suffix(".int8.onnx")


def open_model(path: str | Path, kind: str, threads: int = 0) -> tuple[Any, dict[str, str]]:
    """An ONNX Runtime session on the CPU and the file's metadata.

    Raises UserError, naming the likely cause, for a file that is no ONNX model, is no `kind` of ours, takes
    other input than float32 images, or has lost its metadata.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file. Students are exported by `python -m students.export`.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but Exception
        cause = likely_cause(path) or str(error).splitlines()[0]
        raise UserError(f"{path}: not an ONNX model that can be read ({cause}).") from error
    metadata = session.get_modelmeta().custom_metadata_map
    _require_network(session, metadata, kind, path)
    _require_metadata(metadata, kind, path)
    _require_numbers(session, int(metadata["image_px"]), path)
    return session, metadata


def _require_network(session: Any, metadata: dict[str, str], kind: str, path: Path) -> None:
    inputs = {given.name: given for given in session.get_inputs()}
    outputs = {given.name for given in session.get_outputs()}
    found = metadata.get("pinna_kind")
    if found is None and list(inputs) == ["image"] and outputs >= set(_OUTPUTS[kind]):
        raise UserError(
            f"{path}: has lost its metadata, as simplifiers and converters do; a {kind} needs them. {_AGAIN}."
        )
    if found != kind:
        found = found or "a model that students.export did not write"
        raise UserError(f"{path}: a {kind} is wanted here, found {found}.")
    if list(inputs) != ["image"] or not outputs >= set(_OUTPUTS[kind]):
        raise UserError(
            f"{path}: takes {', '.join(inputs)} and gives {', '.join(sorted(outputs))}; a {kind} takes image "
            f"and gives {', '.join(_OUTPUTS[kind])}. It was changed after its export. {_AGAIN}."
        )
    image = inputs["image"]
    if image.type != "tensor(float)":
        raise UserError(
            f"{path}: its input is {image.type}, wanted is tensor(float): it was converted to another "
            f"precision. {_AGAIN}, or convert it with its input and outputs kept in float32."
        )
    count, *sides = image.shape or [0]
    if len(sides) != 3 or sides[0] != 3 or (isinstance(count, int) and count != 1):
        raise UserError(f"{path}: its input has the shape {image.shape}, wanted is [N, 3, S, S]. {_AGAIN}.")


def _require_numbers(session: Any, image_px: int, path: Path) -> None:
    """Run it once, on grey; all outputs count, those too that only newer files have."""
    image = np.full((1, 3, image_px, image_px), 0.5, np.float32)
    try:
        outputs = session.run(None, {"image": image})
    except Exception as error:  # as above
        cause = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot run on an image of {image_px} px ({cause}). {_AGAIN}.") from error
    if not all(np.isfinite(output).all() for output in outputs):
        raise UserError(
            f"{path}: gives NaN or infinity: its training diverged, or a conversion overflowed. {_AGAIN}."
        )


def _require_metadata(metadata: dict[str, str], kind: str, path: Path) -> None:
    missing = [key for key in _NEEDED[kind] if key not in metadata]
    if missing:
        raise UserError(f"{path}: its metadata lack {', '.join(missing)}, a tool dropped them. {_AGAIN}.")
    for key in metadata:
        try:
            usable = key not in _NUMBERS or float(metadata[key]) >= 0
            usable = usable and isinstance(json.loads(metadata[key]), _JSON[key]) if key in _JSON else usable
        except ValueError:
            usable = False
        if not usable:
            raise UserError(f"{path}: its metadata say {key} = {metadata[key][:60]!r}, which makes no sense.")
