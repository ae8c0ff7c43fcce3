"""Write the report of a run: `python -m distill.report --run runs/demo`.

One HTML file that opens offline, with every picture in it and no script: the data, loss curves,
reconstructions, eigenears, error curves, error of each landmark on a drawn ear, best and worst predictions,
precision of the detector, student against twin against teacher, sizes and times, recipe and versions. A
section whose input is missing says which stage makes it. The figures are merged into RUN/metrics.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from configs.command import run_command
from configs.errors import UserError, did_you_mean
from configs.files import write_text
from configs.groups import Fixed, Gone, Removed, Renamed
from configs.provenance import write_provenance
from distill.report.roles import COMMANDS, REPORT

METRICS = Path("metrics.json")  # in the run folder
MAX_MB = 6.0  # a file that mail still takes


@dataclass(frozen=True)
class Config:
    """Which run to report on."""

    run: Path
    """The run folder, such as runs/demo."""
    output_dir: Path | None = None
    """Folder for index.html; run/report when not given."""
    stages: dict[str, Path] = field(default_factory=dict)
    """Folders of stages by their role, where they are not run/ROLE: data, teacher, teacher_eval, eigenears,
    ear_detector, maps, frame_maps, landmarker, landmarker_twin, detector, detector_twin, evaluate, export.
    """

    GONE: ClassVar[Mapping[str, Gone]] = {
        **{role: Renamed(f"stages.{role}") for role in COMMANDS},
        "metrics_json": Fixed(METRICS, "the figures of a run belong into its folder"),
        "title": Fixed("", "the page is called after its run"),
        "landmarks": Removed("the manifest says it: data.prepare --scheme"),
    }

    def __post_init__(self) -> None:
        """Raise UserError for a role that there is not."""
        for role in self.stages:
            if role not in COMMANDS:
                hint = did_you_mean(role, COMMANDS)
                raise UserError(f"stages: no role {role!r}.{hint} Roles are: {', '.join(COMMANDS)}.")


def main(config: Config) -> Path:
    """Write index.html and metrics.json. Returns the path of the page."""
    # here, since they import OpenCV, matplotlib and torch
    import cv2

    from distill.report.figures import figures, merge_into
    from distill.report.inputs import Inputs
    from distill.report.page import render

    if not config.run.is_dir():
        raise UserError(
            f"{config.run}: no such run folder. Give the folder that holds the stages, such as runs/demo."
        )
    cv2.setNumThreads(1)
    inputs = Inputs(config.run, config.stages)
    found = figures(inputs)
    page = render(inputs, found)
    output_dir = config.output_dir or config.run / REPORT
    path = write_text(output_dir / "index.html", page)
    write_provenance(output_dir, config)
    merge_into(config.run / METRICS, found)
    for absent in inputs.damaged:
        print(f"warning: left out of the report: {absent.reason}")
    megabytes = path.stat().st_size / 1e6
    print(f"{path.name}: {megabytes:.1f} MB, {len(found)} models with figures")
    if megabytes > MAX_MB:
        print(f"warning: the report has {megabytes:.1f} MB, more than {MAX_MB:g}")
    return path


if __name__ == "__main__":
    run_command(Config, main)
