"""The terms of the teacher's loss, one function each, and their weighted sum.

Images are (B, 3, H, W) in [-1, 1]; latents are (B, latent_dim). Every term is a scalar.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from configs.errors import UserError

IMAGE_RANGE = 2.0  # of images in [-1, 1]
SSIM_SIGMA_PX, SSIM_WINDOW_PX = 1.5, 11  # Wang et al., IEEE TIP 2004, section III.B
SSIM_K1, SSIM_K2 = 0.01, 0.03  # the same, eq. 13
CENTER_SIGMA = 0.5  # of the centre weight, as a fraction of half the side


@dataclass(frozen=True)
class LossWeights:
    """The design's seven weights, and those of the two terms of `teacher.vae_training.correspondence`.

    A weight of 0 switches its term off: it is not computed.
    """

    l1: float = 1.0
    perceptual: float = 1.5
    ssim: float = 0.6
    edge: float = 0.3
    contrastive: float = 0.1
    center: float = 3.0
    kl: float = 1e-6
    matching: float = 0.0
    exchange: float = 0.0

    def __post_init__(self) -> None:
        """Raises UserError for negative weights."""
        negative = [f"{name}_weight={value}" for name, value in asdict(self).items() if value < 0]
        if negative:
            raise UserError(f"{', '.join(negative)}: loss weights are 0 (off) or above")

    @property
    def paired(self) -> bool:
        """Whether a term needs a second view of each ear."""
        return bool(self.matching or self.exchange)


def l1_loss(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error."""
    return F.l1_loss(reconstruction, target)


def ssim_loss(reconstruction: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM (Wang et al., IEEE TIP 2004, eq. 13), images mirrored at their borders.

    Equal to torchmetrics' SSIM, whose square window took a third of a small teacher's training step: here the
    Gaussian runs along rows, then columns.
    """
    channels = target.shape[1]
    border = (SSIM_WINDOW_PX // 2,) * 4
    first, second = (F.pad(images, border, mode="reflect") for images in (reconstruction, target))
    moments = torch.cat([first, second, first**2, second**2, first * second], dim=1)
    offsets = torch.arange(SSIM_WINDOW_PX, device=target.device) - SSIM_WINDOW_PX // 2
    window = torch.softmax(-(offsets**2) / (2 * SSIM_SIGMA_PX**2), dim=0)
    for kernel in (window.view(1, 1, 1, -1), window.view(1, 1, -1, 1)):
        moments = F.conv2d(moments, kernel.repeat(5 * channels, 1, 1, 1), groups=5 * channels)
    mean1, mean2, square1, square2, product = moments.chunk(5, dim=1)
    variances = square1 - mean1**2 + square2 - mean2**2
    covariance = product - mean1 * mean2
    c1, c2 = (SSIM_K1 * IMAGE_RANGE) ** 2, (SSIM_K2 * IMAGE_RANGE) ** 2
    similarity = (2 * mean1 * mean2 + c1) * (2 * covariance + c2)
    return 1 - (similarity / ((mean1**2 + mean2**2 + c1) * (variances + c2))).mean()


def edge_loss(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of the image gradients: forward differences along both axes."""
    error = reconstruction - target
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


def contrastive_loss(mu: Tensor) -> Tensor:
    """Mean absolute cosine between the latents of different ears; 0 for a batch of one."""
    if len(mu) < 2:
        return mu.new_zeros(())
    unit = F.normalize(mu, dim=1)
    cosines = (unit @ unit.T).abs()
    pairs = len(mu) * (len(mu) - 1)
    return (cosines.sum() - cosines.diagonal().sum()) / pairs


def center_loss(reconstruction: Tensor, target: Tensor) -> Tensor:
    """L1 under a Gaussian weight that is highest in the middle of the crop and sums to one."""
    height, width = target.shape[-2:]
    y = torch.linspace(-1, 1, height, device=target.device)
    x = torch.linspace(-1, 1, width, device=target.device)
    weight = torch.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * CENTER_SIGMA**2))
    return ((reconstruction - target).abs().mean((0, 1)) * weight).sum() / weight.sum()


def kl_loss(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL divergence to the unit Gaussian, summed over latents, averaged over the batch.

    Kingma & Welling, ICLR 2014, appendix B.
    """
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()


def loss_terms(
    reconstruction: Tensor,
    target: Tensor,
    mu: Tensor,
    logvar: Tensor,
    weights: LossWeights,
    perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """The unweighted terms of reconstruction and latent whose weight is not 0, by name.

    `perceptual` is needed if its weight is not 0.
    """
    if weights.perceptual and perceptual is None:
        raise ValueError("the perceptual term has a weight but no network: load VGG16 or set its weight to 0")
    compute = {
        "l1": lambda: l1_loss(reconstruction, target),
        "perceptual": lambda: perceptual(reconstruction, target),
        "ssim": lambda: ssim_loss(reconstruction, target),
        "edge": lambda: edge_loss(reconstruction, target),
        "contrastive": lambda: contrastive_loss(mu),
        "center": lambda: center_loss(reconstruction, target),
        "kl": lambda: kl_loss(mu, logvar),
    }
    return {name: term() for name, term in compute.items() if getattr(weights, name)}


def total_loss(terms: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """The weighted sum of terms by name."""
    return sum(getattr(weights, name) * value for name, value in terms.items())
