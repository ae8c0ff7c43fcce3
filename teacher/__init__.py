"""The teacher: a SAM-VAE that learns ears by reconstructing them, and the EarDetector on top of its
encoder.
"""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "EarVAE": "teacher.vae",
        "EarDetector": "teacher.detector",
        "EarTeacherLightningModule": "teacher.margin.module",
        "MarginTeacher": "teacher.margin.model",
        "build_backbone": "teacher.backbones",
        "embed_images": "teacher.embed",
        "most_similar": "teacher.embed",
    },
)
