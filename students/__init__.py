"""The two small models: a detector for full frames and a landmarker for crops, and their use as one."""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "Ear": "students.inference.pipeline",
        "EarPipeline": "students.inference.pipeline",
        "EarTracker": "students.inference.tracking.tracker",
        "StudentDetector": "students.models.detector",
        "StudentLandmarker": "students.models.landmarker",
        "build_student": "students.models.checkpoint",
        "load_student": "students.models.checkpoint",
        "save_student": "students.models.checkpoint",
        "coco_ap": "data.coco_ap",
        "detections": "teacher.models.dense.postprocess",
    },
)
