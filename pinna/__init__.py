"""The package that `pip install .` installs: the students that ship; numpy, OpenCV and ONNX Runtime alone."""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "Ear": "students.inference.pipeline",
        "EarPipeline": "students.inference.pipeline",
        "EarTracker": "students.inference.tracking.tracker",
        "TrackedEar": "students.inference.tracking.tracker",
        "UserError": "configs.errors",
        "draw_ears": "students.inference.overlay",
        "read_image": "pinna.images",
    },
)
