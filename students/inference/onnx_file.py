"""ONNX files of `students.export`, opened and checked: type and shape of the input, outputs, metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import onnxruntime

from configs.errors import UserError, did_you_mean
from configs.reading.coercion import coerce
from configs.reading.content import parse_json
from data.crop_settings import LARGEST_MARGIN
from data.image_kinds.likely_cause import likely_cause
from data.landmarks import Scheme

CPU = ("CPUExecutionProvider",)
# What `students.inference.pipeline` needs of each kind.
_OUTPUTS = {"detector": ("boxes_xyxy", "scores"), "landmarker": ("points_unit", "confidence")}
_NEEDED = {"detector": ("image_px",), "landmarker": ("image_px", "landmark_names")}
_ALLOWED = {"image_px": lambda px: 1 <= px <= 4096, "margin": lambda margin: 0 <= margin <= LARGEST_MARGIN}
_AGAIN = "Export its student.pt again, by `python -m students.export`"


def int8_file(path: Path) -> Path:
    """Where `students.export --int8` puts the quantised NAME.onnx: NAME.int8.onnx beside it."""
    return path.with_suffix(".int8.onnx")


@dataclass(frozen=True)
class Metadata:
    """What a file says of its network; from `landmark_names` on a landmarker's, None in an older file."""

    image_px: int
    landmark_names: list[str] = field(default_factory=list)
    margin: float | None = None
    flip: list[int] | None = None
    curves: dict[str, list[int]] | None = None
    mean_shape_unit: list[tuple[float, float]] | None = None


def open_model(
    path: str | Path, kind: str, threads: int = 0, providers: Sequence[str] = CPU
) -> tuple[Any, Metadata]:
    """An ONNX Runtime session and the file's metadata.

    providers: ONNX Runtime's execution providers, the preferred one first. Raises UserError, naming the
    likely cause, for a file that is no ONNX model, is no `kind` of ours, takes other input than float32
    images, or has lost its metadata; and for a provider that is not there or does not start.
    """
    path, providers = Path(path), _known_providers(providers)
    if not path.is_file():
        raise UserError(f"{path}: no such file. Students are exported by `python -m students.export`.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but Exception
        cause = likely_cause(path) or str(error).splitlines()[0]
        raise UserError(f"{path}: not an ONNX model that can be read ({cause}).") from error
    if left_out := [name for name in providers if name not in session.get_providers()]:
        raise UserError(
            f"{' and '.join(left_out)} did not start: ONNX Runtime knows it, but not all that it needs is "
            f"installed. Started: {', '.join(session.get_providers())}."
        )
    metadata = session.get_modelmeta().custom_metadata_map
    _require_network(session, metadata, kind, path)
    read = _metadata(metadata, kind, path)
    outputs = _require_numbers(session, read.image_px, path)
    if kind == "landmarker":
        _require_points(read, outputs, path)
    return session, read


def _known_providers(providers: Sequence[str]) -> list[str]:
    available = onnxruntime.get_available_providers()
    names = [providers] if isinstance(providers, str) else list(providers)
    if unknown := [name for name in names if name not in available]:
        raise UserError(
            f"providers={names!r}: this ONNX Runtime has no {unknown[0]!r}, only {', '.join(available)}."
            f"{did_you_mean(str(unknown[0]), available)}"
        )
    return names or list(CPU)


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


def _require_numbers(session: Any, image_px: int, path: Path) -> dict[str, np.ndarray]:
    """Run it once, on grey; all outputs count, those too that only newer files have. Returns them by name."""
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
    return {given.name: output for given, output in zip(session.get_outputs(), outputs, strict=True)}


def _metadata(found: dict[str, str], kind: str, path: Path) -> Metadata:
    missing = [key for key in _NEEDED[kind] if key not in found]
    if missing:
        raise UserError(f"{path}: its metadata lack {', '.join(missing)}, a tool dropped them. {_AGAIN}.")
    values = {}
    for name, wanted in get_type_hints(Metadata).items():
        if name not in found:
            continue
        try:
            value = coerce(parse_json(found[name].encode(errors="replace"), name), wanted, name, name)
            usable = name not in _ALLOWED or _ALLOWED[name](value)
        except UserError:
            usable = False
        if not usable:
            raise UserError(f"{path}: its metadata say {name} = {found[name][:60]!r}, which makes no sense.")
        values[name] = value
    return Metadata(**values)


def _require_points(metadata: Metadata, outputs: dict[str, np.ndarray], path: Path) -> None:
    """That what is said of the points is of as many as there are. Raises UserError."""
    count = len(metadata.landmark_names)
    shape = outputs["points_unit"].shape
    if shape[1:] != (count, 2):
        raise UserError(f"{path}: names {count} points, but gives an output of shape {shape}. {_AGAIN}.")
    content = {"names": metadata.landmark_names, "curves": metadata.curves, "flip": metadata.flip}
    content["mean_shape_unit"] = metadata.mean_shape_unit
    Scheme.from_plain({name: value for name, value in content.items() if value is not None}, f"{path}")
