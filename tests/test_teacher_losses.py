"""Each term of the teacher's loss against a loop or a case worked out by hand."""

import math

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from teacher.vae_training import losses


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_image_terms_are_zero_for_a_perfect_reconstruction(images):
    for term in (losses.l1_loss, losses.ssim_loss, losses.edge_loss, losses.center_loss):
        assert term(images, images).item() == pytest.approx(0, abs=1e-6)


def test_ssim_loss_against_torchmetrics(images):
    noisy = (images + 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(2))).clamp(
        -1, 1
    )
    expected = 1 - structural_similarity_index_measure(noisy, images, data_range=losses.IMAGE_RANGE)
    assert losses.ssim_loss(noisy, images).item() == pytest.approx(expected.item(), abs=1e-5)


def test_edge_loss_ignores_a_constant_shift_and_counts_a_step(images):
    assert losses.edge_loss(images + 0.1, images).item() == pytest.approx(0, abs=1e-6)
    step = torch.zeros(1, 3, 4, 4)
    step[..., 2:] = 1.0  # one of the three column differences in each row is 1
    assert losses.edge_loss(step, torch.zeros_like(step)).item() == pytest.approx(1 / 3)


def test_center_loss_weighs_the_middle_and_is_l1_for_an_even_error():
    target = torch.zeros(2, 3, 33, 33)
    assert losses.center_loss(target + 0.25, target).item() == pytest.approx(0.25)
    middle, corner = target.clone(), target.clone()
    middle[..., 16, 16], corner[..., 0, 0] = 1.0, 1.0
    ratio = losses.center_loss(middle, target) / losses.center_loss(corner, target)
    assert ratio.item() == pytest.approx(math.exp(2 / (2 * losses.CENTER_SIGMA**2)), rel=1e-4)


def test_contrastive_loss_by_a_loop():
    mu = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    cosines = [
        abs(torch.nn.functional.cosine_similarity(mu[i], mu[j], dim=0).item())
        for i in range(4)
        for j in range(4)
        if i != j
    ]
    assert losses.contrastive_loss(mu).item() == pytest.approx(sum(cosines) / len(cosines), rel=1e-5)
    assert losses.contrastive_loss(mu[:1]).item() == 0


def test_kl_loss_against_torch_distributions():
    mu, logvar = torch.randn(5, 7), torch.randn(5, 7)
    gaussian = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    unit = torch.distributions.Normal(torch.zeros(5, 7), torch.ones(5, 7))
    expected = torch.distributions.kl_divergence(gaussian, unit).sum(1).mean()
    assert losses.kl_loss(mu, logvar).item() == pytest.approx(expected.item(), rel=1e-5)


def test_weight_zero_switches_a_term_off_and_the_total_is_the_weighted_sum(images):
    weights = losses.LossWeights(perceptual=0.0, contrastive=0.0)
    mu, logvar = torch.randn(3, 5), torch.zeros(3, 5)
    terms = losses.loss_terms(images * 0.5, images, mu, logvar, weights)
    assert set(terms) == {"l1", "ssim", "edge", "center", "kl"}
    by_hand = (
        terms["l1"] + 0.6 * terms["ssim"] + 0.3 * terms["edge"] + 3.0 * terms["center"] + 1e-6 * terms["kl"]
    )
    assert losses.total_loss(terms, weights).item() == pytest.approx(by_hand.item(), rel=1e-6)


def test_perceptual_weight_without_a_network_is_refused(images):
    with pytest.raises(ValueError, match="VGG16"):
        losses.loss_terms(
            images, images, torch.zeros(3, 2), torch.zeros(3, 2), losses.LossWeights(), perceptual=None
        )
