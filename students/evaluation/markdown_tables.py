"""The evaluation's numbers as Markdown tables, for reading and for the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MODEL_NAMES = {
    "ear_detector": "EarDetector (teacher)",
    "landmarker": "landmarker, distilled",
    "landmarker_twin": "landmarker, twin without teacher",
    "detector": "detector, distilled",
    "detector_twin": "detector, twin without teacher",
}
POINT_HEADINGS = (
    "model", "NME", "95 % interval", "hidden points", "PCK .02", "PCK .05", "PCK .10", "AUC", "failures",
    "ears", "missed",
)  # fmt: skip
BOX_HEADINGS = (
    "model", "AP50", "AP50:95", "AP75", "small", "medium", "large", "recall .50", "recall", "precision*",
    "recall*", "false alarms*", "ear-free*",
)  # fmt: skip
EAR_HEADINGS = (
    "models", "AP50", "AP50:95", "AP75", "recall .50", "precision*", "recall*", "false alarms*", "ear-free*",
)  # fmt: skip


def tables(metrics: dict[str, Any]) -> str:
    """Markdown of what `students.evaluate` measured; a section is left out where nothing was."""
    points = {name: metrics[name] for name in MODEL_NAMES if "nme" in metrics.get(name, {})}
    chains = {
        name: metrics[name]["end_to_end"] for name in MODEL_NAMES if "end_to_end" in metrics.get(name, {})
    }
    labels = {
        name: f"{MODEL_NAMES[name]} on {MODEL_NAMES[chain['detector']]}" for name, chain in chains.items()
    }
    boxes = {name: metrics[name] for name in MODEL_NAMES if "ap50" in metrics.get(name, {})}
    parts = []
    if points:
        parts += ["## Points on crops of the true boxes", "", _point_table(points), ""]
        parts += ["## NME of each landmark", "", _landmark_table(points), ""]
    tightness = {name: report["tightness"] for name, report in points.items() if "tightness" in report}
    if tightness:
        parts += ["## NME by the border around the box", "", _tightness_table(tightness), ""]
    consistency = {name: metrics[name]["consistency"] for name in metrics if "consistency" in metrics[name]}
    if consistency:
        parts += ["## Readings of one ear, shown otherwise", "", _consistency_table(consistency), ""]
        parts += ["Mean distance of the points, over the diagonal of their extent.", ""]
    if boxes:
        threshold = metrics["settings"]["box_threshold"]
        parts += ["## Boxes of the detector alone", "", _box_table(boxes), ""]
        parts += [_note(threshold), ""]
    if chains:
        threshold = metrics["settings"]["score_threshold"]
        parts += ["## End to end: boxes rescored by the landmarks", "", _ear_table(chains, labels), ""]
        parts += [_note(threshold), ""]
    chains = {name: chain for name, chain in chains.items() if "nme" in chain}
    if chains:
        parts += ["## End to end: points of the ears found", "", _point_table(chains, labels), ""]
        parts += ["Missed ears count in PCK, AUC and failures, not in the NME.", ""]
    return "\n".join(parts)


def _note(threshold: float) -> str:
    return (
        f"\\* at the score threshold {threshold:g}; ear-free: photographs without an ear in which one is seen"
    )


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """First column to the left, the others to the right, padded so that it also reads as plain text."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    ruler = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines = [headings, ruler, *rows]
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    )


def _point_table(reports: dict[str, dict[str, Any]], labels: dict[str, str] = MODEL_NAMES) -> str:
    rows = [
        (
            labels[name],
            number(report["nme"], 4),
            _interval(report["nme_interval"]),
            number(report["hidden"]["nme"], 4),
            *(percent(report[f"pck_{limit}"]) for limit in ("0.02", "0.05", "0.10")),
            number(report["auc"], 3),
            percent(report["fr"]),
            str(report["ears"]),
            str(report["missed"]),
        )
        for name, report in reports.items()
    ]
    return markdown_table(POINT_HEADINGS, rows)


def _landmark_table(reports: dict[str, dict[str, Any]]) -> str:
    names = next(iter(reports.values()))["per_landmark"]["names"]
    rows = [
        (name, *(number(report["per_landmark"]["nme"][index], 4) for report in reports.values()))
        for index, name in enumerate(names)
    ]
    return markdown_table(("landmark", *(MODEL_NAMES[name] for name in reports)), rows)


def _tightness_table(reports: dict[str, dict[str, Any]]) -> str:
    margins = next(iter(reports.values()))["margins"]
    headings = ("model", *(f"{100 * margin:g} %" for margin in margins), "worst / as trained")
    rows = [
        (
            MODEL_NAMES[name],
            *(number(value, 4) for value in report["nme"]),
            number(report["worst_ratio"], 3),
        )
        for name, report in reports.items()
    ]
    return markdown_table(headings, rows)


def _consistency_table(reports: dict[str, dict[str, Any]]) -> str:
    names = next(iter(reports.values()))["warps"]
    rows = [(name, *(number(report["warps"][name], 4) for report in reports.values())) for name in names]
    rows.append(("mean", *(number(report["mean"], 4) for report in reports.values())))
    return markdown_table(("shown", *(MODEL_NAMES[name] for name in reports)), rows)


def _box_table(reports: dict[str, dict[str, Any]]) -> str:
    columns = ("ap50", "ap", "ap75", "ap_small", "ap_medium", "ap_large", "recall50", "recall")
    rows = [
        (
            MODEL_NAMES[name],
            *(number(report[column], 3) for column in columns),
            percent(report["threshold_precision"]),
            percent(report["threshold_recall"]),
            number(report["threshold_false_alarms_per_image"], 3),
            alarms(report["threshold_alarmed"], report["ear_free"]),
        )
        for name, report in reports.items()
    ]
    return markdown_table(BOX_HEADINGS, rows)


def _ear_table(chains: dict[str, dict[str, Any]], labels: dict[str, str]) -> str:
    rows = [
        (
            labels[name],
            *(number(chain[column], 3) for column in ("ap50", "ap", "ap75", "recall50")),
            percent(chain["precision"]),
            percent(chain["recall"]),
            number(chain["false_alarms_per_image"], 3),
            alarms(chain["alarmed"], chain["ear_free"]),
        )
        for name, chain in chains.items()
    ]
    return markdown_table(EAR_HEADINGS, rows)


def number(value: float | None, digits: int) -> str:
    """A fixed number of decimals, or a dash where nothing could be measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """0.1234 -> 12.3 %."""
    return "-" if value is None else f"{100 * value:.1f} %"


def alarms(alarmed: int, ear_free: int) -> str:
    """In how many of the photographs without an ear one was seen."""
    return f"{alarmed} of {ear_free}" if ear_free else "-"


def _interval(limits: Sequence[float] | None) -> str:
    return "-" if limits is None else f"{limits[0]:.4f} to {limits[1]:.4f}"
