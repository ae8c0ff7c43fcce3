"""The margin teacher: self-supervised by reconstruction and a margin loss over pseudo-classes, no VAE"""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "MarginTeacher": "teacher.models.margin_teacher",
        "EarTeacherLightningModule": "teacher.margin.module",
    },
)
