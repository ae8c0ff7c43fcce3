"""What a finished training leaves beside the weights: `metrics.json` and `predictions.png`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from configs.files import write_json
from data.draw import write_picture
from data.landmarks import Scheme
from distill.student.data import TrainingData
from distill.student.picture import predictions_picture
from students.models.checkpoint import load_student
from teacher.training.trainer import best_measures

MONITOR = {"landmarker": ("val/nme", "min"), "detector": ("val/ap", "max")}


def write_results(
    output_dir: Path,
    student: str,
    init_checkpoint: Path | None,
    distill: bool,
    data: TrainingData,
    trainer: Trainer,
    steps: int,
    scheme: Scheme,
) -> None:
    """Measures of the round that student.pt in `output_dir` holds, the best by MONITOR, and a picture.

    student: landmarker or detector; steps: of the training; scheme: of the points.
    """
    measures, best_round, _ = best_measures(trainer, *MONITOR[student])
    counts = {"round": best_round, "steps": steps, "images": steps * data.mix.batch_size}
    write_json(
        output_dir / "metrics.json",
        {
            **measures,
            "student": student,
            "start": str(init_checkpoint or "random weights"),
            "distill": distill,
            "teacher": _teacher_of(data),
            **counts,
            **data.facts,
        },
    )
    picture = predictions_picture(
        load_student(output_dir / "student.pt", student), data.val_loader.dataset, scheme
    )
    write_picture(output_dir / "predictions.png", picture)


def _teacher_of(data: TrainingData) -> dict[str, Any] | None:
    if data.kept is None:
        return None
    return {"layer": data.kept.layer, "gate": data.kept.index.get("gate")}
