"""The run's figures in a few numbers: what stands at the top of the page and in metrics.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.errors import UserError
from configs.files import write_json
from configs.reading.content import read_json
from distill.report.inputs import Inputs
from distill.report.tables import Cell, Measure, Row, lookup, measure_cell, measures_table

# model -> its measures that count
KEPT = {
    "teacher": ("psnr", "ssim"),
    "ear_detector": ("nme",),
    "landmarker": ("nme",),
    "landmarker_twin": ("nme",),
    "detector": ("ap50", "ap"),
    "detector_twin": ("ap50", "ap"),
}
EXPORTED = ("onnx_mb", "ms_1_thread", "parameters")
# where a model was measured, best first: (stage, its key in the stage's metrics.json or "", which ears)
SOURCES = {"teacher": (("teacher_eval", "", "test"), ("teacher", "", "validation"))} | {
    model: (("evaluate", model, "test"), (model, "", "validation")) for model in KEPT if model != "teacher"
}
HEADLINES = (
    ("teacher", Measure("psnr", "Teacher PSNR", "{:.1f} dB")),
    ("teacher", Measure("ssim", "Teacher SSIM", "{:.3f}")),
    ("landmarker", Measure("nme", "Landmarker NME", "{:.4f}")),
    ("detector", Measure("ap50", "Detector AP50", "{:.3f}")),
    ("landmarker", Measure("ms_1_thread", "Landmarker speed", "{:.2f} ms")),
    ("detector", Measure("ms_1_thread", "Detector speed", "{:.2f} ms")),
)
SIZES = (
    Measure("onnx_mb", "ONNX file, MB", "{:.2f}"),
    Measure("ms_1_thread", "ms a run, one thread, median", "{:.2f}"),
    Measure("ms_1_thread_p10", "ms, the quickest tenth", "{:.2f}"),
    Measure("image_px", "input, px a side", "{:d}"),
    Measure("parameters", "parameters", "{:,d}"),
    Measure("max_difference_px", "largest difference of ONNX from torch, px", "{:.1g}"),
    Measure("max_difference_score", "largest difference, score", "{:.1g}"),
)


def figures(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """{model: {measure: value, measure_interval: [low, high], ...}}, only what some stage has measured.

    `measured_on` says "test" or "validation"; sizes and times are those of the export.
    """
    found: dict[str, dict[str, Any]] = {}
    for model, names in KEPT.items():
        for stage, key, ears in SOURCES[model]:
            report = inputs.json(stage, "metrics.json") or {}
            measured = _measured(report.get(key, {}) if key else report, names)
            if measured:
                found[model] = measured | {"measured_on": ears}
                break
    exported = inputs.json("export", "export.json") or {}
    for model, report in exported.items():
        if isinstance(report, Mapping):
            kept = {name: report[name] for name in EXPORTED if name in report}
            found[model] = found.get(model, {}) | kept
    return found


def merge_into(path: Path, found: Mapping[str, Any]) -> Path:
    """Merge `found` into the JSON object of `path`, model by model; what else stands there stays."""
    old = read_json(path) if path.is_file() else {}
    if not isinstance(old, dict):
        raise UserError(
            f"{path}: holds a {type(old).__name__}, expected an object to merge the figures into."
        )
    return write_json(path, merged(old, found))


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`old` with `new` over it, mappings key by key."""
    result = dict(old)
    for key, value in new.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def headlines(found: Mapping[str, Any]) -> list[Row]:
    """The tiles at the top: label, value with interval, and a word on it."""
    tiles = []
    for model, measure in HEADLINES:
        cell = measure_cell(found.get(model, {}), measure)
        if cell.text != "–":
            note = ""
            if measure.key == "ms_1_thread":
                megabytes = lookup(found, f"{model}.onnx_mb")
                note = "on one thread"
                cell = Cell(cell.text, "" if megabytes is None else f"{megabytes:.2f} MB")
            elif lookup(found, f"{model}.measured_on") == "validation":
                note = "on the validation set"
            tiles.append(Row(measure.label, [cell], note))
    return tiles


def size_table(inputs: Inputs) -> dict[str, Any]:
    """The exported students' sizes and times, and the teachers' checkpoints to compare with."""
    exported = inputs.json("export", "export.json")
    models = [model for model in ("detector", "landmarker") if model in (exported or {})]
    checkpoints = []
    for stage, name in (("teacher", "Teacher (SAM-VAE)"), ("ear_detector", "EarDetector")):
        path = inputs.path(stage, "best.ckpt")
        if path:
            checkpoints.append(Row(name, [Cell(f"{path.stat().st_size / 1e6:.1f} MB")]))
    return {
        "absent": None if models else exported,
        "columns": [model.capitalize() for model in models],
        "rows": measures_table([exported[model] for model in models], SIZES) if models else [],
        "checkpoints": checkpoints,
    }


def _measured(report: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The measures of these names that the report holds, each with its interval."""
    keys = [key for name in names for key in (name, f"{name}_interval")]
    if all(report.get(name) is None for name in names):
        return {}
    return {key: report[key] for key in keys if report.get(key) is not None}
