"""Encoder, decoders and EarVAE: published parameter counts, shapes, gradients, the latent's noise."""

import pytest
import torch
from torch import nn

from configs.errors import UserError
from teacher import EarVAE
from teacher.models.decoder import ResidualDecoder, TransposedDecoder
from teacher.models.encoder import Encoder, SpatialAttention

TINY = {
    "latent_dim": 16,
    "image_size": 32,
    "freeze_layers": 1,
    "pretrained": False,
    "backbone_options": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "patch_size": 8,
        "window_size": 2,
        "global_attn_indexes": [1],
        "output_channels": 24,
        "input_size": 32,
    },
    "feature_channels": 20,
    "decoder": "residual",
    "decoder_channels": [16, 16, 16],
}


def count(module: nn.Module, trainable: bool | None = None) -> int:
    return sum(p.numel() for p in module.parameters() if trainable in (None, p.requires_grad))


def test_sam_base_has_the_published_counts():
    with torch.device("meta"):
        vae = EarVAE(latent_dim=1024, image_size=128, backbone="sam", freeze_layers=6, pretrained=False)
    assert count(vae.encoder.backbone) == 89_670_912
    assert count(vae.encoder) == 121_800_617
    assert count(vae.encoder, trainable=True) == 78_636_457
    assert count(vae.encoder, trainable=False) == 43_164_160
    assert count(vae.decoder) == 26_300_419
    assert count(vae) == 148_101_036


def test_shapes_of_the_pyramid_the_latent_and_the_reconstruction():
    vae = EarVAE(**TINY).eval()
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    features = vae.encoder.extract_features(images)
    assert {name: tuple(f.shape) for name, f in features.items()} == {
        "backbone": (2, 24, 4, 4),
        "feat1": (2, 20, 4, 4),
        "feat2": (2, 20, 4, 4),
        "feat3": (2, 20, 4, 4),
    }
    mu, logvar = vae.encoder(images)
    assert mu.shape == logvar.shape == (2, 16)
    reconstruction = vae.decode(mu)
    assert reconstruction.shape == images.shape and reconstruction.abs().max() <= 1
    assert vae.sample(3).shape == (3, 3, 32, 32)


def test_noise_in_training_none_in_eval():
    vae = EarVAE(**TINY)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    vae.eval()
    assert torch.equal(vae(images)[0], vae(images)[0])
    torch.nn.init.constant_(vae.encoder.to_logvar[1].bias, 2.0)
    vae.train()
    first, second = vae(images)[0], vae(images)[0]
    assert (first - second).abs().max() > 1e-3


def test_every_trainable_parameter_gets_a_gradient_and_no_frozen_one():
    vae = EarVAE(**TINY).train()
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    reconstruction, mu, logvar = vae(images)
    (reconstruction.square().mean() + mu.square().mean() + logvar.square().mean()).backward()
    without = [name for name, p in vae.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert any(not p.requires_grad for p in vae.parameters())
    assert all(p.grad is None for p in vae.parameters() if not p.requires_grad)


def test_hparams_rebuild_the_model():
    vae = EarVAE(**TINY).eval()
    twin = EarVAE(**vae.hparams, pretrained=False).eval()
    twin.load_state_dict(vae.state_dict())
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(vae(images)[0], twin(images)[0])


def test_spatial_attention_scales_locations_not_channels():
    attention = SpatialAttention(3)
    features = torch.rand(2, 5, 6, 6) + 0.5
    factors = attention(features) / features
    assert torch.allclose(factors, factors[:, :1].expand_as(factors), atol=1e-6)
    assert 0 < factors.min() and factors.max() < 1


@pytest.mark.parametrize(
    ("decoder", "channels"), [(TransposedDecoder, (8, 8, 8, 8)), (ResidualDecoder, (16, 16, 16))]
)
def test_decoder_maps_double_from_eight(decoder, channels):
    maps = decoder(4, 32, channels).features(torch.zeros(1, 4))
    sides = [feature.shape[-1] for feature in maps.values()]
    assert sides == [8 * 2**step for step in range(len(sides))]
    assert list(maps) == [f"dec{side}" for side in sides]


def test_sizes_and_names_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="decoder_channels .* 32 px, image_size is 64"):
        EarVAE(**{**TINY, "image_size": 64})
    with pytest.raises(UserError, match="Did you mean 'residual'"):
        EarVAE(**{**TINY, "decoder": "residal"})


def test_encoder_takes_any_backbone_that_keeps_the_contract():
    class Stub(nn.Module):
        channels, stride = 6, 4

        def forward(self, images):
            return torch.nn.functional.avg_pool2d(images.repeat(1, 2, 1, 1), 4)

    encoder = Encoder(Stub(), latent_dim=8, feature_channels=12, logvar_start=-6.0).eval()
    mu, logvar = encoder(torch.rand(2, 3, 64, 64))
    assert mu.shape == (2, 8)
    assert logvar.mean().item() == pytest.approx(-6.0, abs=1e-3)
