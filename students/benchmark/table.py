"""Milliseconds as a table, with ratios to its first row."""

from __future__ import annotations

from collections.abc import Mapping


def milliseconds_table(title: str, rows: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Markdown. rows: {name: {column: {"ms", "ms_90"}}}; the others are compared with the first."""
    columns = list(next(iter(rows.values())))
    first = rows[next(iter(rows))]
    lines = [f"| {title} | " + " | ".join(columns) + " |", "| :--- |" + " ---: |" * len(columns)]
    for name, row in rows.items():
        cells = []
        for column in columns:
            milliseconds, most = row[column]["ms"], row[column]["ms_90"]
            ratio = milliseconds / first[column]["ms"] if first[column]["ms"] > 0 else float("nan")
            beside = "" if row is first else f", x{ratio:.2f}"
            cells.append(f"{milliseconds:.2f} ({most:.2f}{beside})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
