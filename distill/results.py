"""What a finished training leaves beside the weights: `metrics.json` and `predictions.png`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from configs.files import write_json
from distill.picture import predictions_picture
from students.checkpoint import load_student
from teacher.callbacks import MetricsTable
from teacher.pictures import write_picture

if TYPE_CHECKING:
    from distill.material import Material
    from distill.train import Config


def write_results(
    config: Config, material: Material, trainer: Any, steps: int, monitor: str, mode: str
) -> None:
    """Measures of the round that student.pt holds, the one with the best `monitor` (mode: min or max)."""
    (table,) = (callback for callback in trainer.callbacks if isinstance(callback, MetricsTable))
    best = (min if mode == "min" else max)(table.rows, key=lambda row: row[monitor])
    measures = {name.removeprefix("val/"): value for name, value in best.items() if name.startswith("val/")}
    counts = {"round": best["epoch"], "steps": steps, "images": steps * config.batch_size}
    kept = material.kept
    teacher = None if kept is None else {"layer": kept.layer, "gate": kept.index.get("gate")}
    start = str(config.init_checkpoint or "random weights")
    named = {"student": config.student, "start": start, "distill": config.distill, "teacher": teacher}
    write_json(config.output_dir / "metrics.json", {**measures, **named, **counts, **material.facts})
    student = load_student(config.output_dir / "student.pt", config.student)
    picture = predictions_picture(student, material.val_loader.dataset, config.scheme)
    write_picture(config.output_dir / "predictions.png", picture)
