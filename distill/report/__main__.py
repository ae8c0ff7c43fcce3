"""Write the report of a run: `python -m distill.report --run runs/demo`.

One HTML file that opens offline, with every picture in it and no script: the data, loss curves,
reconstructions, eigenears, error curves, error of each landmark on a drawn ear, best and worst predictions,
precision of the detector, student against twin against teacher, sizes and times, recipe and versions. A
section whose input is missing says which stage makes it. The figures also go into metrics.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.command import run_command

MAX_MB = 6.0  # a file that mail still takes


@dataclass
class Config:
    """Which run to report on; a stage's folder not given is looked for in the run folder."""

    run: Path
    """The run folder, such as runs/demo."""
    output_dir: Path | None = None
    """Folder for index.html; run/report when not given."""
    metrics_json: Path | None = None
    """File to merge the run's figures into; run/metrics.json when not given."""
    landmarks: Path | None = None
    """YAML with names and curves of the points, if they are not the 17 of data/landmarks_17.yaml."""
    title: str = ""
    """Heading of the page; the run's name when empty."""

    data: Path | None = None
    """Folder of data.render or data.prepare."""
    teacher: Path | None = None
    """Folder of teacher.train."""
    teacher_eval: Path | None = None
    """Folder of teacher.evaluate."""
    eigenears: Path | None = None
    """Folder of teacher.eigenears."""
    ear_detector: Path | None = None
    """Folder of teacher.finetune."""
    maps: Path | None = None
    """Folder of distill.cache, crops."""
    frame_maps: Path | None = None
    """Folder of distill.cache, frames."""
    landmarker: Path | None = None
    """Folder of distill.train, the landmarker."""
    landmarker_twin: Path | None = None
    """Folder of distill.train --no-distill, the landmarker's twin."""
    detector: Path | None = None
    """Folder of distill.train, the detector."""
    detector_twin: Path | None = None
    """Folder of distill.train --no-distill, the detector's twin."""
    evaluate: Path | None = None
    """Folder of students.evaluate."""
    export: Path | None = None
    """Folder of students.export."""


def main(config: Config) -> Path:
    """Write index.html and metrics.json. Returns the path of the page."""
    import cv2

    from configs.errors import UserError
    from configs.files import write_atomic
    from configs.provenance import write_provenance
    from distill.report.figures import figures, merge_into
    from distill.report.inputs import COMMANDS, REPORT, Inputs

    if not config.run.is_dir():
        raise UserError(
            f"{config.run}: no such run folder. Give the folder that holds the stages, such as runs/demo."
        )
    cv2.setNumThreads(1)
    inputs = Inputs(config.run, {stage: getattr(config, stage) for stage in COMMANDS})
    found = figures(inputs)
    page = render(inputs, found, config.title, config.landmarks)
    output_dir = config.output_dir or config.run / REPORT
    path = write_atomic(
        output_dir / "index.html", lambda temporary: temporary.write_text(page, encoding="utf-8")
    )
    write_provenance(output_dir, config)
    merge_into(config.metrics_json or config.run / "metrics.json", found)
    for absent in inputs.damaged:
        print(f"warning: left out of the report: {absent.reason}")
    megabytes = path.stat().st_size / 1e6
    print(f"{path.name}: {megabytes:.1f} MB, {len(found)} models with figures")
    if megabytes > MAX_MB:
        print(f"warning: the report has {megabytes:.1f} MB, more than {MAX_MB:g}")
    return path


def render(inputs: Any, found: dict[str, Any], title: str = "", landmarks: Path | None = None) -> str:
    """The page as HTML."""
    import time

    import jinja2
    from markupsafe import Markup

    from distill.report import boxes, figures, pictures, points, provenance, training

    students = {}
    for name in ("landmarker", "detector"):
        pair = [name, f"{name}_twin"]
        students[name] = training.student_facts(inputs, pair) | {"curves": training.curves(inputs, pair)}
    made = provenance.made_by(inputs)
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=title or made["name"],
        style=Markup((folder / "page.css").read_text(encoding="utf-8")),
        written=time.strftime("%Y-%m-%d %H:%M"),
        tiles=figures.headlines(found),
        data=pictures.data_pictures(inputs),
        teacher=pictures.teacher_pictures(inputs)
        | {"curves": training.curves(inputs, ["teacher"]), "earlier": training.earlier_curves(inputs)},
        eigenears=pictures.eigenears(inputs),
        ear_detector=pictures.detector_pictures(inputs)
        | {"curves": training.curves(inputs, ["ear_detector"])},
        maps=pictures.kept_maps(inputs),
        landmarker=students["landmarker"],
        detector=students["detector"],
        points=points.point_accuracy(inputs, landmarks),
        boxes=boxes.box_accuracy(inputs),
        sizes=figures.size_table(inputs),
        made=made,
    )


if __name__ == "__main__":
    run_command(Config, main)
