"""The teacher: a SAM-VAE that learns ears by reconstructing them, and the EarDetector on top of its
encoder.
"""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "EarVAE": "teacher.models.vae",
        "EarDetector": "teacher.models.detector",
        "EarTeacherLightningModule": "teacher.margin.module",
        "MarginTeacher": "teacher.models.margin_teacher",
        "build_backbone": "teacher.models.backbones.build",
        "embed_images": "teacher.models.embeddings",
        "most_similar": "teacher.models.embeddings",
    },
)
