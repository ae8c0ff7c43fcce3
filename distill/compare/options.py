"""What a comparison is of: teachers, ears, and the options of what is trained on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.errors import UserError, did_you_mean
from teacher.models.backbones.names import names


@dataclass(frozen=True)
class Comparison:
    """Teachers, ears and settings"""

    teachers: tuple[str, ...] = (
        "sam",
        "mae",
        "convnextv2_tiny",
        "resnet50",
        "mobilenetv3",
        "hybrid",
        "margin",
    )
    """Names that `teacher.check --list` prints."""
    data_dir: Path | None = None
    """Folder of data.prepare or data.render (train, val and test, with labels); none: ears are rendered."""
    render: dict[str, Any] = field(default_factory=lambda: {"ears": 2000, "val_ears": 200, "test_ears": 200})
    """Options of data.render, when there is no data_dir."""
    train: dict[str, Any] = field(default_factory=dict)
    """Options of teacher.train for all; epochs, max_minutes and batch_size are also the margin teacher's."""
    teacher_options: dict[str, Any] = field(default_factory=dict)
    """Options of one teacher over those, by its name: {sam: {backbone_options: {...}}}."""
    maps: dict[str, Any] = field(default_factory=lambda: {"grid": 16, "views": 2})
    """Options of distill.cache."""
    student: dict[str, Any] = field(default_factory=lambda: {"labels": 100, "steps": 500, "rounds": 5})
    """Options of distill.train for every student and for the one without a teacher."""

    def __post_init__(self) -> None:
        """Raise UserError for teachers that there are not, and for too few."""
        for name in (*self.teachers, *self.teacher_options):
            if name not in names():
                hint = did_you_mean(name, names())
                raise UserError(f"teacher {name!r} is unknown; allowed: {', '.join(names())}.{hint}")
        if len(set(self.teachers)) < max(2, len(self.teachers)):
            raise UserError(f"teachers {', '.join(self.teachers)}: at least two different ones are needed")
