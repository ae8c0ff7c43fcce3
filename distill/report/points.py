"""How exact the landmarks are: student, twin and teacher side by side, error curves, best and worst ears."""

from __future__ import annotations

from typing import Any

import numpy as np

from configs.errors import UserError
from data.bootstrap import interval_of_mean
from data.images import read_image
from data.landmarks import Scheme, load_scheme
from data.metrics import FAILURE_NME, error_curve, nme, point_errors
from distill.report.charts import Chart, Line, line_chart
from distill.report.ear_figure import ear_figure, example_shape
from distill.report.inputs import Absent, Inputs
from distill.report.photos import Photo, ear_tile
from distill.report.roles import NAMES, PAINT
from distill.report.tables import Cell, Measure, Row, lookup, measures_table

MODELS = ("landmarker", "landmarker_twin", "ear_detector")
TITLES = {
    "landmarker": "Student, distilled",
    "landmarker_twin": "Twin, labels only",
    "ear_detector": "Teacher (EarDetector)",
}
MEASURES = (
    Measure("nme", "NME", "{:.4f}", "mean distance over the diagonal of the points' box; lower is better"),
    Measure("nme_median", "median ear", "{:.4f}"),
    Measure("hidden.nme", "NME, hidden points", "{:.4f}", "annotated but covered"),
    Measure("pck_0.02", "PCK at 0.02", "{:.3f}", "share of points nearer than 2 % of the diagonal"),
    Measure("pck_0.05", "PCK at 0.05", "{:.3f}"),
    Measure("pck_0.10", "PCK at 0.10", "{:.3f}"),
    Measure("auc", "AUC up to 0.10", "{:.3f}", "area under the curve of errors below"),
    Measure("fr", "failure rate", "{:.3f}", "ears with an NME above 0.10"),
    Measure("box_iou", "IoU of the box", "{:.3f}", "only the EarDetector predicts one here"),
)
END_TO_END = (
    Measure("end_to_end.ap50", "AP50 of the boxes", "{:.3f}", "after their rescoring by the landmarks"),
    Measure("end_to_end.ap", "AP of the boxes", "{:.3f}", "mean over IoU 0.50, 0.55 ... 0.95"),
    Measure("end_to_end.ears", "ears", "{:,d}"),
    Measure("end_to_end.missed", "of them not found", "{:,d}"),
    Measure("end_to_end.false_alarms", "boxes on no ear", "{:,d}"),
    Measure("end_to_end.nme", "NME of those found", "{:.4f}"),
    Measure("end_to_end.auc", "AUC up to 0.10", "{:.3f}", "ears not found count as failed"),
    Measure("end_to_end.fr", "failure rate", "{:.3f}", "ears not found count as failed"),
)
TILES = {"best": 6, "typical": 6, "worst": 12}
DRAWS = 2000  # of the bootstrap


def point_accuracy(inputs: Inputs) -> dict[str, Any]:
    """What the template shows of the models that predict landmarks; `absent` when nothing was evaluated."""
    metrics = inputs.json("evaluate", "metrics.json")
    if isinstance(metrics, Absent):
        return {"absent": metrics}
    models = [name for name in MODELS if name in metrics]
    if not models:
        return {"absent": Absent("evaluate", "metrics.json", "it holds no model that predicts landmarks")}
    reports = [metrics[name] for name in models]
    arrays = inputs.arrays("evaluate", "per_image.npz")
    page = {
        "columns": [TITLES[name] for name in models],
        "rows": measures_table(reports, MEASURES),
        "end_to_end": measures_table(reports, END_TO_END),
        "feeds": [(TITLES[name], lookup(metrics, f"{name}.end_to_end.detector")) for name in models],
    }
    if isinstance(arrays, Absent):
        return page | {"per_image": arrays}
    predicted = [name for name in models if f"crops_{name}_points_px" in arrays]
    if not predicted:
        return page | {"per_image": Absent("evaluate", "per_image.npz", "it holds no landmarks on crops")}
    truth, visibility = arrays["crops_landmarks"], arrays["crops_visibility"]
    scheme = _scheme(inputs, truth.shape[1])
    distances = {
        name: point_errors(arrays[f"crops_{name}_points_px"], truth, visibility) for name in predicted
    }
    return page | {
        "ears": len(truth),
        "paired": paired_rows(arrays, predicted),
        "charts": _error_curves(arrays, predicted, scheme),
        "landmarks": _by_landmark(distances, scheme, truth, visibility),
        "photos": _photos(arrays, predicted[0], scheme),
        "pictured": TITLES[predicted[0]],
    }


def _scheme(inputs: Inputs, points: int) -> Scheme:
    """What the evaluated points are: their manifest's word, numbers where it has another count of points."""
    manifest = inputs.evaluated("ears_npy", "test_labelled.npy")
    scheme = load_scheme() if isinstance(manifest, Absent) else manifest.crops.scheme
    return scheme if len(scheme) == points else numbered_scheme(points)


def numbered_scheme(points: int) -> Scheme:
    """For points that no scheme names."""
    return Scheme(tuple(f"point {index}" for index in range(points)), {}, list(range(points)))


def mean_shape_errors(
    boxes_xyxy: np.ndarray, true_px: np.ndarray, visibility: np.ndarray, scheme: Scheme
) -> np.ndarray:
    """(N,) NME of the mean shape laid into each true box, facing the way that fits better."""
    corner, sides = boxes_xyxy[:, None, :2], boxes_xyxy[:, None, 2:] - boxes_xyxy[:, None, :2]
    shape = scheme.mean_shape_unit
    mirrored = (shape * (-1, 1) + (1, 0))[scheme.flip]
    errors = [nme(corner - 0.5 + sides * unit, true_px, visibility) for unit in (shape, mirrored)]
    return np.minimum(*errors)


def paired_rows(arrays: dict[str, np.ndarray], models: list[str], seed: int = 0) -> list[Row]:
    """Differences of NME between the first model and each other, ear by ear, with bootstrap intervals."""
    rows = []
    for other in models[1:]:
        difference = arrays[f"crops_{models[0]}_nme"] - arrays[f"crops_{other}_nme"]
        difference = difference[np.isfinite(difference)].astype(np.float64)
        low, high = interval_of_mean(difference, DRAWS, seed)
        verdict = "better" if high < 0 else "worse" if low > 0 else "no difference that these ears can show"
        label = f"{TITLES[models[0]]} minus {TITLES[other]}"
        rows.append(
            Row(label, [Cell(f"{difference.mean():+.4f}", f"{low:+.4f} to {high:+.4f}"), Cell(verdict)])
        )
    return rows


def _error_curves(arrays: dict[str, np.ndarray], models: list[str], scheme: Scheme) -> list[Chart]:
    """Share of ears with an error below x: on crops of the true boxes, and end to end."""
    lines = [_ced_line(name, arrays[f"crops_{name}_nme"]) for name in models]
    if scheme.mean_shape_unit is not None:
        boxes, truth, visibility = (
            arrays[f"crops_{key}"] for key in ("boxes_xyxy", "landmarks", "visibility")
        )
        mean_shape = mean_shape_errors(boxes, truth, visibility, scheme)
        lines.append(_ced_line("mean shape", mean_shape, paint="plain", dashed=True))
    charts = [Chart("Crops of the true boxes", _ced_chart("ced-crops", lines))]
    chained = [name for name in models if f"end_to_end_{name}_nme" in arrays]
    if chained:
        lines = [_ced_line(name, arrays[f"end_to_end_{name}_nme"]) for name in chained]
        charts.append(Chart("End to end, missed ears count as errors", _ced_chart("ced-end", lines)))
    return charts


def _ced_line(name: str, errors: np.ndarray, paint: str = "", dashed: bool = False) -> Line:
    x, y = error_curve(errors)
    return Line(NAMES.get(name, name), x, y, paint or PAINT[name], dashed or name.endswith("_twin"))


def _ced_chart(identity: str, lines: list[Line]) -> str:
    limits = {"x_limits": (0, FAILURE_NME), "y_limits": (0, 1.02)}
    return line_chart(identity, lines, "NME", "share of ears", legend="lower right", **limits)


def _by_landmark(
    distances: dict[str, np.ndarray], scheme: Scheme, truth: np.ndarray, visibility: np.ndarray
) -> dict[str, Any]:
    shape = scheme.mean_shape_unit
    shape = example_shape(truth, visibility) if shape is None else shape
    annotated = (visibility > 0).any(axis=0)
    means = {name: np.where(annotated, _nanmean(values), np.nan) for name, values in distances.items()}
    worst = {name: float(np.nanmax(values)) for name, values in means.items()}
    rows = [
        Row(
            f"{index}  {name}",
            [Cell("–" if np.isnan(m[index]) else f"{m[index]:.4f}") for m in means.values()],
        )
        for index, name in enumerate(scheme.names)
    ]
    ears = [
        Chart(
            TITLES[name],
            ear_figure(values, scheme, shape, PAINT[name], f"mean error of each landmark, {TITLES[name]}"),
        )
        for name, values in means.items()
    ]
    return {"ears": ears, "columns": [TITLES[name] for name in means], "rows": rows, "worst": worst}


def _nanmean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN, without a warning, where nothing is."""
    known = np.isfinite(values)
    return np.where(known, values, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)


def _photos(arrays: dict[str, np.ndarray], name: str, scheme: Scheme) -> dict[str, list[Photo]] | Absent:
    """Ears with the points that a model predicted: the best, those in the middle, the worst."""
    errors = arrays[f"crops_{name}_nme"]
    order = np.argsort(errors, kind="stable")
    order = order[np.isfinite(errors[order])]
    middle = max(0, (len(order) - TILES["typical"]) // 2)
    starts = {"best": order, "typical": order[middle:], "worst": order[::-1]}
    groups = {group: rows[: TILES[group]] for group, rows in starts.items()}
    photos: dict[str, list[Photo]] = {group: [] for group in groups}
    for group, rows in groups.items():
        for row in rows:
            try:
                rgb = read_image(arrays["crops_image_paths"][row])
            except UserError:
                continue
            box, truth, visibility = (
                arrays[f"crops_{key}"][row] for key in ("boxes_xyxy", "landmarks", "visibility")
            )
            found = arrays[f"crops_{name}_points_px"][row]
            photos[group].append(
                ear_tile(rgb, box, found, truth, visibility, scheme, f"NME {errors[row]:.3f}")
            )
    if not any(photos.values()):
        return Absent(
            "data", "images", f"the images, such as {arrays['crops_image_paths'][0]}, are not there any more"
        )
    return photos
