"""From the teacher's kept maps and predictions to two small students."""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "FrozenTeacher": "distill.frozen",
        "KeptMaps": "distill.maps",
        "map_loss": "distill.losses",
    },
)
