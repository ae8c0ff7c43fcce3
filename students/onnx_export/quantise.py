"""A student's ONNX file in whole numbers: static QDQ by ONNX Runtime, u8 activations, s8 weights per channel.

Convolutions compute with 8 bits, but for two kinds, found by the graph and chosen by measurement
(docs/experiments/costs.md, "Students in int8"). The last of each path through the network, and what follows
them, stay in float32: they cost little, and every step of theirs moves a point or a box. So do the first,
of few channels: they take two to three times as long with 8 bits, and on processors without VNNI their sums
overflow 16 bits.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from configs.files import write_bytes
from data.manifest import Manifest
from students.inference.onnx_file import int8_file
from students.onnx_export.check_int8 import compare_int8
from students.onnx_export.pipeline_inputs import pipeline_inputs

CALIBRATION_ROWS = 64
OPERATORS = [
    "Conv", "Relu", "Clip", "Add", "Mul", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "Resize",
]  # fmt: skip
LEAST_CHANNELS = 8  # ONNX Runtime's float32 convolutions take channels in blocks of this


def export_int8(fp32: Path, kind: str, manifest: Manifest) -> tuple[Path, dict[str, Any]]:
    """Write NAME.int8.onnx beside NAME.onnx, a file of `students.export` of this kind; returns its path, and
    how far it is from `fp32`, as of `students.onnx_export.check_int8.compare_int8`.

    Calibrated on what the pipeline reads of every other of up to 2 * CALIBRATION_ROWS rows spread over the
    manifest, compared on what it reads of the others; of a single row, on the same.
    """
    rows = np.unique(np.linspace(0, len(manifest) - 1, min(2 * CALIBRATION_ROWS, len(manifest))).astype(int))
    path = write_int8(fp32, pipeline_inputs(fp32, kind, manifest, rows[::2]))
    compared = rows[1::2] if len(rows) > 1 else rows
    return path, compare_int8(fp32, path, kind, pipeline_inputs(fp32, kind, manifest, compared))


def write_int8(fp32: Path, images: Sequence[np.ndarray]) -> Path:
    """Write NAME.int8.onnx beside NAME.onnx, a file of `students.export`, atomically; returns its path.

    images: what activations are measured on, arrays (N, 3, S, S) as the network is given them. Inputs,
    outputs and metadata are those of `fp32`, with `precision` beside them.
    """
    model = onnx.load(fp32)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    add_pre_process_metadata(model)  # or ONNX Runtime warns: the export has folded constants and batch norms
    with tempfile.TemporaryDirectory(prefix="pinna_int8_") as folder:  # ONNX Runtime writes beside the model
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quantize_static(
            source, target, _Calibration(images), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=OPERATORS,
            nodes_to_quantize=quantised_nodes(model.graph),
        )  # fmt: skip
        quantised = onnx.load(target)
    onnx.helper.set_model_props(quantised, metadata | {"precision": "int8"})
    onnx.checker.check_model(quantised)
    return write_bytes(int8_file(fp32), quantised.SerializeToString())


def quantised_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes from which a path leads on to a convolution, without convolutions of fewer than
    LEAST_CHANNELS input channels.
    """
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    leads_on: dict[str, bool] = {}
    for node in reversed(graph.node):  # users stand after what they use
        after = [user for name in node.output for user in users[name]]
        leads_on[node.name] = any(user.op_type == "Conv" or leads_on[user.name] for user in after)
    shapes = {weights.name: weights.dims for weights in graph.initializer}
    return [node.name for node in graph.node if leads_on[node.name] and not _is_thin(node, shapes)]


def _is_thin(node: onnx.NodeProto, shapes: Mapping[str, Sequence[int]]) -> bool:
    if node.op_type != "Conv":
        return False
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return groups * shapes[node.input[1]][1] < LEAST_CHANNELS


class _Calibration(CalibrationDataReader):
    def __init__(self, images: Iterable[np.ndarray]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input, None after the last."""
        image = next(self._images, None)
        return None if image is None else {"image": image}
