"""The two small models: a detector for full frames and a landmarker for crops, and their use as one."""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "Ear": "students.pipeline",
        "EarPipeline": "students.pipeline",
        "StudentDetector": "students.detector",
        "StudentLandmarker": "students.landmarker",
        "build_student": "students.checkpoint",
        "load_student": "students.checkpoint",
        "save_student": "students.checkpoint",
        "coco_ap": "students.coco_ap",
        "detections": "students.boxes",
    },
)
