"""From the teacher's kept maps and predictions to two small students."""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "FrozenTeacher": "distill.teacher_maps.frozen_teacher",
        "KeptMaps": "distill.teacher_maps.store",
        "map_loss": "distill.student.map_losses",
    },
)
