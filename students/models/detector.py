"""StudentDetector: ears in a full frame, from a trunk small enough for a phone."""

from students.models.trunk import Trunk
from teacher.models.dense.detector import FEATURE_STRIDE, DenseDetector
from teacher.models.dense.pyramid import Pyramid


class StudentDetector(DenseDetector):
    """Frames in [0, 1] -> a score and a box for each cell of the stride-8 map."""

    def __init__(self, image_px: int = 320, trunk: str = "resnet10_slim", width: int = 48):
        super().__init__(Pyramid(Trunk(trunk, (FEATURE_STRIDE, 16, 32)), width), width, image_px)
        self.hparams = {"image_px": image_px, "trunk": trunk, "width": width}
