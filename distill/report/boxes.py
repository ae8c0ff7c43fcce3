"""How well the detector finds ears in frames: table, precision curves, the best and the worst frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from configs.errors import UserError
from data.boxes import box_iou
from data.images import read_image
from distill.report.charts import Chart, Line, line_chart
from distill.report.inputs import Absent, Inputs
from distill.report.photos import Photo, frame_tile
from distill.report.roles import NAMES, PAINT
from distill.report.tables import Measure, lookup, measures_table
from students.evaluation.frame_detections import match

MODELS = ("detector", "detector_twin")
MEASURES = (
    Measure("ap50", "AP50", "{:.3f}", "average precision, a box counts as right from IoU 0.50 on"),
    Measure("ap75", "AP75", "{:.3f}", "the same from IoU 0.75 on"),
    Measure("ap", "AP", "{:.3f}", "COCO's: mean over IoU 0.50, 0.55 ... 0.95"),
    Measure("ap_small", "AP, ears below 32 px", "{:.3f}", "by the square root of the box's area"),
    Measure("ap_medium", "AP, 32 to 96 px", "{:.3f}"),
    Measure("ap_large", "AP, above 96 px", "{:.3f}"),
    Measure("recall50", "recall at IoU 0.50", "{:.3f}", "of all ears, with every box counted"),
    Measure("recall", "recall, mean over IoU", "{:.3f}"),
    Measure("threshold_precision", "precision", "{:.3f}", "of the boxes above the score threshold"),
    Measure("threshold_recall", "recall", "{:.3f}", "of all ears, by boxes above the score threshold"),
    Measure("threshold_false_alarms_per_image", "false alarms a frame", "{:.3f}"),
)
TILES = 8  # of the best frames, and of the worst
USED_IOU = 0.5


def box_accuracy(inputs: Inputs) -> dict[str, Any]:
    """What the template shows of the detectors: table, charts, photos; `absent` if nothing was evaluated."""
    metrics = inputs.json("evaluate", "metrics.json")
    if isinstance(metrics, Absent):
        return {"absent": metrics}
    models = [name for name in MODELS if lookup(metrics, f"{name}.ap50") is not None]
    if not models:
        return {"absent": Absent("evaluate", "metrics.json", "it holds no detector")}
    first = metrics[models[0]]
    return {
        "columns": [NAMES[name] for name in models],
        "rows": measures_table([metrics[name] for name in models], MEASURES),
        "images": first.get("images"),
        "ears": first.get("ears"),
        "charts": _precision_charts(inputs, models),
        "frames": _frames(inputs, models[0], lookup(metrics, "settings.box_threshold") or 0.5),
        "threshold": lookup(metrics, "settings.box_threshold"),
    }


def _precision_charts(inputs: Inputs, models: list[str]) -> list[Chart]:
    curves = inputs.json("evaluate", "curves.json") or {}
    charts = []
    for key, iou in (("precision50", "0.50"), ("precision75", "0.75")):
        lines = []
        for name in models:
            precision = np.array(lookup(curves, f"{name}.{key}") or [], dtype=float)
            recall = np.linspace(0, 1, len(precision))
            precision[precision < 0] = np.nan  # COCO's mark for "not defined"
            if len(precision):
                lines.append(Line(NAMES[name], recall, precision, PAINT[name], dashed=name.endswith("_twin")))
        if lines:
            limits = {"x_limits": (0, 1.01), "y_limits": (0, 1.03)}
            svg = line_chart(f"pr-{key}", lines, "recall", "precision", legend="lower left", **limits)
            charts.append(Chart(f"Precision over recall, IoU {iou}", svg))
    return charts


def _frames(inputs: Inputs, name: str, threshold: float) -> dict[str, list[Photo]] | Absent:
    """`best` and `worst` frames with the boxes above the score threshold."""
    arrays = inputs.arrays("evaluate", "per_image.npz")
    if isinstance(arrays, Absent):
        return arrays
    if f"frames_{name}_image" not in arrays:
        return Absent("evaluate", "per_image.npz", f"per_image.npz holds no boxes of the {name}")
    paths = [str(path) for path in arrays["frames_image_paths"]]
    truth = inputs.evaluated("frames_npy", "test_frames.npy")
    if isinstance(truth, Absent):
        return truth
    true_boxes = [truth.boxes_xyxy[truth.image_paths == path] for path in paths]
    if not any(len(boxes) for boxes in true_boxes):
        return Absent(
            "evaluate", "per_image.npz", "the frames evaluated are not those of the data's manifest"
        )
    found = []
    for index in range(len(paths)):
        mine = arrays[f"frames_{name}_image"] == index
        mine &= arrays[f"frames_{name}_scores"] >= threshold
        found.append((arrays[f"frames_{name}_boxes_xyxy"][mine], arrays[f"frames_{name}_scores"][mine]))
    faults = [frame_faults(boxes, ears) for (boxes, _), ears in zip(found, true_boxes, strict=True)]
    order = sorted(
        range(len(paths)),
        key=lambda index: (sum(faults[index][:2]), -np.nan_to_num(faults[index][2], nan=1), index),
    )
    best = [index for index in order if len(true_boxes[index])][:TILES]
    worst = [index for index in reversed(order) if index not in best][:TILES]

    def tiles(rows: list[int]) -> list[Photo]:
        shown = []
        for row in rows:
            rgb = _image(paths[row])
            if rgb is not None:
                shown.append(frame_tile(rgb, *found[row], true_boxes[row], _caption(*faults[row])))
        return shown

    photos = {"best": tiles(best), "worst": tiles(worst)}
    if not any(photos.values()):
        return Absent("data", "images", f"the images, such as {paths[0]}, are not there any more")
    return photos


def frame_faults(found_xyxy: np.ndarray, true_xyxy: np.ndarray) -> tuple[int, int, float]:
    """Ears missed, boxes on no ear, and the mean IoU of the boxes that are right; NaN when there are none."""
    owner = match(found_xyxy, true_xyxy, USED_IOU)
    hits = owner >= 0
    overlap = box_iou(found_xyxy, true_xyxy)[owner[hits], np.flatnonzero(hits)]
    return (
        int((~hits).sum()),
        len(found_xyxy) - int(hits.sum()),
        float(overlap.mean()) if hits.any() else np.nan,
    )


def _caption(missed: int, false_alarms: int, iou: float) -> str:
    words = [f"{missed} missed"] if missed else []
    words += [f"{false_alarms} on no ear"] if false_alarms else []
    words += [f"IoU {iou:.2f}"] if np.isfinite(iou) else []
    return ", ".join(words) or "no ear, none found"


def _image(path: str) -> np.ndarray | None:
    try:
        return read_image(path)
    except UserError:
        return None
