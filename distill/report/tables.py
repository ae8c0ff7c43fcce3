"""Tables of measures: a column for each model, a value and its 95 % interval in a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """What stands in a cell; `small` under it, in small type."""

    text: str
    small: str = ""


@dataclass(frozen=True)
class Row:
    """A measure; `note` explains it."""

    label: str
    cells: list[Cell]
    note: str = ""


@dataclass(frozen=True)
class Measure:
    """How a measure of a report is shown. key: dotted path; form: of str.format; note: what it means."""

    key: str
    label: str
    form: str = "{:.4f}"
    note: str = ""


def measures_table(reports: Sequence[Mapping[str, Any]], measures: Sequence[Measure]) -> list[Row]:
    """A row for each measure that any of the reports (one a column) holds."""
    rows = []
    for measure in measures:
        cells = [measure_cell(report, measure) for report in reports]
        if any(cell.text != "–" for cell in cells):
            rows.append(Row(measure.label, cells, measure.note))
    return rows


def measure_cell(report: Mapping[str, Any], measure: Measure) -> Cell:
    """The value of a measure, with its interval where the report has one."""
    value = lookup(report, measure.key)
    if value is None:
        return Cell("–")
    interval = lookup(report, f"{measure.key}_interval")
    small = f"{measure.form.format(interval[0])} to {measure.form.format(interval[1])}" if interval else ""
    return Cell(measure.form.format(value), small)


def lookup(report: Any, dotted: str) -> Any:
    """report["a"]["b"] for "a.b", None where it is not there; a key may hold a dot itself ("pck_0.05")."""
    if not isinstance(report, Mapping):
        return None
    if dotted in report:
        return report[dotted]
    key, dot, rest = dotted.partition(".")
    return lookup(report.get(key), rest) if dot else None
