"""A student's heatmaps against its teacher's: where each point may be, rather than where it is said to be."""

from torch import Tensor, nn

from teacher.models.heatmaps import kl_divergence

UNSEEN = -1e4  # logit of a cell that the student did not see
EPSILON = 1e-6


class HeatmapMatcher(nn.Module):
    """Soft targets (Hinton et al., arXiv:1503.02531) with the cells of a heatmap as classes."""

    def forward(self, student: Tensor, teacher: Tensor, seen: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """KL(teacher || student) over the cells seen, mean over points by the part of their map that is.

        student: (B, K, grid, grid) logits; teacher: (B, K, grid, grid) as kept, 0 or more; seen: (B, 1, grid,
        grid), 1 or 0. Returns the loss in nats, and the same under its name.
        """
        teacher = teacher.float()
        mass = (teacher * seen).sum(dim=(2, 3))
        target = teacher * seen / mass.clamp_min(EPSILON)[..., None, None]
        divergence = kl_divergence(target, student.float().masked_fill(seen == 0, UNSEEN))
        share = mass / teacher.sum(dim=(2, 3)).clamp_min(EPSILON)
        loss = (divergence * share).sum() / share.sum().clamp_min(EPSILON)
        return loss, {"heatmaps": loss}
