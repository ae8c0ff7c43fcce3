"""How the run was made: resolved recipe, each stage's command, options and time, versions, git revision."""

from __future__ import annotations

from typing import Any

import yaml

from distill.report.inputs import Inputs
from distill.report.tables import Cell, Row


def made_by(inputs: Inputs) -> dict[str, Any]:
    """recipe (text), name, revisions, versions (rows); stages (rows) in the order they began, and the options
    [(stage, YAML text)] of each."""
    records = {stage: record for stage in inputs.stages() if (record := inputs.yaml(stage))}
    records = dict(sorted(records.items(), key=lambda item: str(item[1].get("started") or "")))
    stages = []
    for stage, record in records.items():
        published = inputs.json(stage, "stage.json") or {}
        seconds = published.get("seconds")
        time = Cell(
            "–" if seconds is None else duration(seconds),
            str(record.get("started") or "")[:16].replace("T", " "),
        )
        stages.append(Row(stage, [Cell(f"python -m {record.get('command', '?')}"), time]))
    return {
        "recipe": _recipe(inputs),
        "name": inputs.run_dir.absolute().name,
        "stages": stages,
        "total": duration(
            sum((inputs.json(stage, "stage.json") or {}).get("seconds") or 0 for stage in records)
        ),
        "options": [
            (stage, yaml.safe_dump(record.get("config"), sort_keys=False, allow_unicode=True))
            for stage, record in records.items()
        ],
        "versions": _versions(records),
        "revisions": sorted(
            {str(record["git_revision"]) for record in records.values() if record.get("git_revision")}
        ),
    }


def duration(seconds: float) -> str:
    """`2 h 5 min`, `3 min 20 s` or `4.2 s`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _recipe(inputs: Inputs) -> str | None:
    path = inputs.run_dir / "recipe.yaml"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _versions(records: dict[str, dict[str, Any]]) -> list[Row]:
    """A row a package; where stages ran with different versions, all of them."""
    packages = dict.fromkeys(name for record in records.values() for name in record.get("versions") or {})
    return [
        Row(
            package,
            [Cell(", ".join(dict.fromkeys(str(record["versions"][package]) for record in records.values()
                                          if package in (record.get("versions") or {}))))],
        )
        for package in packages
    ]  # fmt: skip
