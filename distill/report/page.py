"""The report's page: every section's content, put into the template `page.html.j2`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from distill.report import boxes, figures, pictures, points, provenance, training
from distill.report.inputs import Inputs


def render(inputs: Inputs, found: dict[str, Any]) -> str:
    """The page as HTML. found: the run's figures, `distill.report.figures.figures`."""
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
        title=made["name"],
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
        points=points.point_accuracy(inputs),
        boxes=boxes.box_accuracy(inputs),
        sizes=figures.size_table(inputs),
        made=made,
    )
