"""How far a student's map lies from its teacher's: one function a loss, named in `MAP_LOSSES` for recipes.

Maps are (B, C, h, w), the student's already brought to the teacher's channels and grid
(`distill.student.map_matching`), the teacher's normalised (`normalise`). Every loss is a scalar, and 0 when
student equals teacher.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from configs.errors import UserError, did_you_mean

RELATION_TEMPERATURE = 0.1  # of cosines, so that the nearest few of h * w locations carry most of the weight
EPSILON = 1e-6


def map_loss(
    student: Tensor, teacher: Tensor, weights: Mapping[str, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the named losses, and each of them unweighted.

    weights: names of `MAP_LOSSES` -> weight; a weight of 0 switches a loss off, it is not computed.
    """
    parts = {name: MAP_LOSSES[name](student, teacher) for name, weight in weights.items() if weight}
    total = sum((weights[name] * part for name, part in parts.items()), student.new_zeros(()))
    return total, parts


def cosine_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - cosine of the channel vectors, mean over locations; 0..2. Blind to their lengths."""
    return (1 - F.cosine_similarity(student, teacher, dim=1, eps=EPSILON)).mean()


def smooth_l1_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 0.5 d^2 below |d| = 1 and |d| - 0.5 above (Girshick, ICCV 2015, eq. 3)."""
    return F.smooth_l1_loss(student, teacher)


def mse_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference."""
    return F.mse_loss(student, teacher)


def pearson_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - Pearson correlation of each channel over batch and locations, mean over channels; 0..2.

    PKD (Cao et al., arXiv:2207.02039): half the squared difference of maps brought to zero mean and
    unit deviation, which is 1 - r. A channel that is constant on either side correlates with nothing: 1.
    """
    student, teacher = _centred(student), _centred(teacher)
    return (1 - F.cosine_similarity(student, teacher, dim=1, eps=EPSILON)).mean()


def relation_locations_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """KL of which locations of a crop resemble which: of the softmax of their cosines, mean over locations.

    PKT's idea (Passalis & Tefas, ECCV 2018, arXiv:1803.10837) with a softmax of cosines as the kernel, within
    one map. A location's likeness to itself is always 1 and is left out.
    """
    return _relation_kl(student.flatten(2).transpose(1, 2), teacher.flatten(2).transpose(1, 2))


def relation_samples_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """KL of which crops of the batch resemble which, by their whole maps; 0 for a batch of one or two.

    As `relation_locations_loss`, between samples (also PKT). With two there is only one other to resemble.
    """
    return _relation_kl(student.flatten(1).unsqueeze(0), teacher.flatten(1).unsqueeze(0))


MAP_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": cosine_loss,
    "smooth_l1": smooth_l1_loss,
    "mse": mse_loss,
    "pearson": pearson_loss,
    "relation_locations": relation_locations_loss,
    "relation_samples": relation_samples_loss,
}

# MGD needs a generator of its own beside the pair of maps (`distill.student.map_matching.MaskedGenerator`).
MASKED = "masked"


def check_loss_weights(weights: Mapping[str, float]) -> None:
    """Raises UserError for a name that is no loss, a negative weight, or weights that are all 0."""
    allowed = (*MAP_LOSSES, MASKED)
    for name, weight in weights.items():
        if name not in allowed:
            raise UserError(
                f"loss_weights: {name!r} is no map loss; allowed: {', '.join(allowed)}."
                f"{did_you_mean(name, allowed)}"
            )
        if not weight >= 0:
            raise UserError(f"loss_weights: {name} is {weight}; a weight is 0 (off) or positive.")
    if not any(weights.values()):
        raise UserError("loss_weights: every weight is 0. Use --no-distill to train without the teacher.")


def normalise(maps: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(maps - mean) / std per channel. maps: (B, C, h, w), any precision -> float32; mean, std: (C,).

    The channels of a raw teacher differ in spread by orders of magnitude; as they are, the loudest few
    would be the whole loss.
    """
    return (maps.float() - mean[:, None, None]) / std[:, None, None]


def centre_and_scale(kind: str, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """What `normalise` subtracts and divides by: two of (C,), from mean and std of the teacher's channels.

    channel: each by its own deviation. isotropic: all by one, the root of their mean variance, which keeps
    the loud channels apart from the quiet ones. It is PHI-S (Ranzinger et al., arXiv:2410.01680)
    without its rotation: behind a linear adapter, cosine and squared difference do not see a rotation.
    none: as they are. Raises UserError for another kind.
    """
    if kind == "channel":
        return mean, std
    if kind == "isotropic":
        return mean, std.square().mean().sqrt().expand_as(std)
    if kind == "none":
        return torch.zeros_like(mean), torch.ones_like(std)
    raise UserError(f"normalise={kind}: channel, isotropic or none.")


def faded(step: int, steps: int, fade: float) -> float:
    """Factor of the map weight: 1, then falling in a line to 0 over the last `fade` (0..1) of the steps.

    The teacher's map leads the student to features; the training ends on the student's own task alone.
    """
    if fade <= 0:
        return 1.0
    return min(1.0, max(0.0, (steps - step) / (fade * steps)))


def _centred(maps: Tensor) -> Tensor:
    """(B, C, h, w) -> (C, B * h * w), each row of zero mean."""
    rows = maps.transpose(0, 1).flatten(1)
    return rows - rows.mean(dim=1, keepdim=True)


def _relation_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """(groups, N, D) twice -> KL(teacher || student) of each item's softmax over the N - 1 others, mean."""
    if student.shape[1] < 2:
        return student.sum() * 0.0
    divergence = F.kl_div(_relations(student), _relations(teacher), reduction="none", log_target=True)
    return divergence.sum(-1).mean()


def _relations(items: Tensor) -> Tensor:
    """(groups, N, D) -> (groups, N, N - 1) log-probabilities of each item's likeness to the others."""
    unit = F.normalize(items, dim=2, eps=EPSILON)
    cosines = unit @ unit.transpose(1, 2) / RELATION_TEMPERATURE
    count = items.shape[1]
    others = ~torch.eye(count, dtype=torch.bool, device=items.device)
    return F.log_softmax(cosines[:, others].unflatten(1, (count, count - 1)), dim=-1)
