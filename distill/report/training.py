"""Loss curves: one small chart for each thing a training logged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.report.charts import Chart, Line, line_chart
from distill.report.inputs import Absent, Inputs
from distill.report.roles import NAMES, PAINT, STUDENTS
from distill.report.tables import Measure, Row, lookup, measures_table

# column of metrics.csv -> (title, label of the y axis, logarithmic)
HELD_OUT = {
    "val/psnr": ("Reconstruction, held-out ears", "PSNR, dB", False),
    "val/ssim": ("Structure, held-out ears", "SSIM", False),
    "val/nme": ("Landmark error, held-out ears", "NME", True),
    "val/box_iou": ("Box, held-out ears", "IoU", False),
    "val/ear_accuracy": ("Ear or background, held-out", "accuracy", False),
    "val/ap50": ("Average precision, held-out frames", "AP50", False),
    "val/ap": ("Stricter: mean over IoU .50 to .95", "AP", False),
}
TERMS = {
    "loss": "Total training loss",
    "l1": "Mean absolute error",
    "perceptual": "Perceptual (VGG16)",
    "ssim": "1 - SSIM",
    "edge": "Edges",
    "contrastive": "Likeness of different ears' latents",
    "center": "Absolute error, centre of the crop",
    "kl": "KL divergence",
    "matching": "Places found in a second view",
    "exchange": "Places found by way of another ear",
    "label": "Loss on labels",
    "map": "Match with the teacher's maps",
    "prediction": "Loss on the teacher's points",
    "trust": "Weight of the teacher's points",
    "points": "Heatmaps of the points",
    "edges": "Edges of the box",
    "visibility": "Visible or hidden",
    "ear": "Ear or background",
    "score": "Scores of the cells",
    "box": "Boxes",
}
FACTS = (
    Measure("start", "started from", "{}"),
    Measure("labels", "labels", "{:,d}"),
    Measure("held_out", "held out", "{:,d}"),
    Measure("steps", "training steps", "{:,d}"),
    Measure("images", "images seen", "{:,d}"),
    Measure("trusted_share", "of the teacher's points trusted", "{:.1%}"),
)
SHOWN_TWICE = ("map_",)  # parts of a term that has a chart


def curves(inputs: Inputs, stages: Sequence[str]) -> dict[str, Any]:
    """The charts of one training and of its twin: held-out measures, total loss, and the loss's terms.

    Returns held_out and terms, lists of Chart; rows and columns of a table instead where there is only one
    epoch; absent, the stages (Absent) without curves.
    """
    tables = {stage: inputs.table(stage) for stage in stages}
    there = {stage: table for stage, table in tables.items() if not isinstance(table, Absent)}
    return {
        **_shown(there),
        "columns": [NAMES[stage] for stage in there] if len(there) > 1 else [],
        "absent": [table for table in tables.values() if isinstance(table, Absent)],
    }


def earlier_curves(inputs: Inputs) -> dict[str, Any] | None:
    """The curves of the training the teacher started from, if its table lies beside that checkpoint.

    That is `NAME.csv` beside `NAME.ckpt`, as the project ships it, or `metrics.csv` as a training leaves it.
    """
    start = lookup(inputs.yaml("teacher") or {}, "config.init_checkpoint")
    if not start:
        return None
    for path in (Path(start).with_suffix(".csv"), Path(start).with_name("metrics.csv")):
        if path.is_file():
            table = Inputs(inputs.run_dir, {"teacher": path.parent}).table("teacher", path.name)
            if not isinstance(table, Absent):
                return {**_shown({"teacher": table}, prefix="start"), "columns": [], "absent": []}
    return None


def _shown(tables: dict[str, dict[str, np.ndarray]], prefix: str = "train") -> dict[str, Any]:
    """held_out and terms, or rows for a single epoch. prefix: keeps the names of charts apart."""
    columns = list(dict.fromkeys(column for table in tables.values() for column in table))
    if tables and max(len(next(iter(table.values()))) for table in tables.values()) == 1:
        return {"held_out": [], "terms": [], "rows": _single_epoch(tables, columns)}
    held_out = [
        _chart(tables, column, title, label, log, prefix)
        for column, (title, label, log) in HELD_OUT.items()
        if column in columns
    ]
    terms = []
    for column in sorted(columns, key=lambda column: column != "train/loss"):
        kind, _, name = column.partition("/")
        if kind == "train" and not name.startswith(SHOWN_TWICE) and _moves(tables, column):
            terms.append(_chart(tables, column, TERMS.get(name, name.replace("_", " ")), "", True, prefix))
    return {"held_out": held_out, "terms": terms, "rows": []}


def _chart(
    tables: dict[str, dict[str, np.ndarray]], column: str, title: str, label: str, log: bool, prefix: str
) -> Chart:
    in_steps = all(stage in STUDENTS and "step" in table for stage, table in tables.items())
    axis = "step" if in_steps else "epoch"
    lines = []
    for stage, table in tables.items():
        if column in table:
            x = table.get(axis, np.arange(len(table[column])))
            lines.append(Line(NAMES[stage], x, table[column], PAINT[stage], dashed=stage.endswith("_twin")))
    identity = "-".join([prefix, *tables, column]).replace("/", "-").replace("_", "-")
    return Chart(title, line_chart(identity, lines, axis, label, log=log, small=column.startswith("train/")))


def student_facts(inputs: Inputs, stages: Sequence[str]) -> dict[str, Any]:
    """What each student was trained on, as a table."""
    reports = {stage: inputs.json(stage, "metrics.json") for stage in stages}
    there = {stage: report for stage, report in reports.items() if not isinstance(report, Absent)}
    return {
        "columns": [NAMES[stage] for stage in there],
        "facts": measures_table(list(there.values()), FACTS),
    }


def _single_epoch(tables: dict[str, dict[str, np.ndarray]], columns: list[str]) -> list[Row]:
    reports = [{column: float(values[0]) for column, values in table.items()} for table in tables.values()]
    measures = [Measure(column, title, note=label) for column, (title, label, _) in HELD_OUT.items()]
    measures += [
        Measure(f"train/{name}", title) for name, title in TERMS.items() if _moves(tables, f"train/{name}")
    ]
    return measures_table(reports, [measure for measure in measures if measure.key in columns])


def _moves(tables: dict[str, dict[str, np.ndarray]], column: str) -> bool:
    """Whether a term was on: those of weight 0 are logged as 0, or not at all."""
    return any(
        np.nanmax(np.abs(table[column]), initial=0) > 0 for table in tables.values() if column in table
    )
