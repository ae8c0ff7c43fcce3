"""How good a reconstruction is, image by image."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from teacher.vae_training.losses import IMAGE_RANGE, contrastive_loss


def reconstruction_quality(reconstruction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """reconstruction, target: (B, 3, H, W) in [-1, 1].

    Returns, each (B,): `psnr` in dB, `ssim` (Gaussian window of sigma 1.5; Wang et al., IEEE TIP 2004),
    `l1` as a fraction of the range of values, `edge`: mean absolute error of the image gradients, of the
    same range.
    """
    reconstruction, target = reconstruction.float(), target.float()
    error = (reconstruction - target) / IMAGE_RANGE
    return {
        "psnr": peak_signal_noise_ratio(
            reconstruction, target, data_range=IMAGE_RANGE, dim=(1, 2, 3), reduction="none"
        ),
        "ssim": structural_similarity_index_measure(
            reconstruction, target, data_range=IMAGE_RANGE, reduction="none"
        ),
        "l1": error.abs().mean((1, 2, 3)),
        "edge": error.diff(dim=-1).abs().mean((1, 2, 3)) + error.diff(dim=-2).abs().mean((1, 2, 3)),
    }


def latent_cosine(mu: Tensor) -> float:
    """Mean absolute cosine between the latents of different images, mu (N, latent_dim): low when ears are
    told apart.
    """
    with torch.no_grad():
        return float(contrastive_loss(mu))
