"""What trains the landmarker without a teacher: heatmaps and points. Pure functions."""

from torch import Tensor

from teacher.models.heatmaps import heatmap_loss


def landmark_loss(
    logits: Tensor, points_px: Tensor, visibility: Tensor, image_px: int, weight: Tensor | None = None
) -> Tensor:
    """Loss of the landmarker's heatmaps, a scalar.

    logits: (B, K, h, w); points_px: (B, K, 2) crop pixels, NaN where not annotated; visibility: (B, K),
    COCO 0/1/2; weight: (B, K), for pseudo-labels. Distance of the soft-argmax plus divergence from a
    Gaussian, see `teacher.models.heatmaps.heatmap_loss`. Unlike the teacher's head, hidden points count in
    full: their labels are positions an annotator gave, and the error measures count them.
    """
    points_unit = (points_px + 0.5) / image_px
    return heatmap_loss(logits, points_unit, visibility, hidden_weight=1.0, weight=weight)
