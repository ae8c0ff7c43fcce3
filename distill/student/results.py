"""What a finished training leaves beside the weights: `metrics.json` and `predictions.png`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from configs.files import write_json
from distill.student.picture import predictions_picture
from students.models.checkpoint import load_student
from teacher.pictures import write_picture
from teacher.training.trainer import best_measures

if TYPE_CHECKING:
    from distill.student.data import TrainingData
    from distill.train import Config


def write_results(
    config: Config, material: TrainingData, trainer: Any, steps: int, monitor: str, mode: str
) -> None:
    """Measures of the round that student.pt holds, the one with the best `monitor` (mode: min or max)."""
    measures, best_round, _ = best_measures(trainer, monitor, mode)
    counts = {"round": best_round, "steps": steps, "images": steps * config.batch_size}
    kept = material.kept
    teacher = None if kept is None else {"layer": kept.layer, "gate": kept.index.get("gate")}
    start = str(config.init_checkpoint or "random weights")
    named = {"student": config.student, "start": start, "distill": config.distill, "teacher": teacher}
    write_json(config.output_dir / "metrics.json", {**measures, **named, **counts, **material.facts})
    student = load_student(config.output_dir / "student.pt", config.student)
    picture = predictions_picture(student, material.val_loader.dataset, config.scheme)
    write_picture(config.output_dir / "predictions.png", picture)
