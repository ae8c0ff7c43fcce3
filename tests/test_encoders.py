"""Several backbones as one: split latents, concatenated maps, weights by name; carrying weights over."""

import pytest
import torch

from configs.errors import UserError
from teacher.checkpoint import carry_over, save_weights
from teacher.models.encoders import find_encoder_weights
from teacher.models.fusion import resize
from tests.test_teacher_weights import offline  # noqa: F401  (a fixture)
from tests.tiny_backbones import TINY_BACKBONES, TINY_SEVERAL
from tests.tiny_teacher import tiny_vae


def several(name, **changes):
    given = {"backbone": name, "backbone_options": TINY_SEVERAL[name], "freeze_layers": 0, **changes}
    return tiny_vae(**given).eval()


def images(count=2):
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("name", ["ensemble", "hybrid"])
def test_latents_are_the_members_side_by_side_until_the_fusion_learns(name):
    vae = several(name)
    mu, logvar = vae.encode(images())
    apart = [member(images()) for member in vae.encoder.members.values()]
    assert [part.shape[1] for part, _ in apart] == [16, 16]
    torch.testing.assert_close(mu, torch.cat([part for part, _ in apart], dim=1))
    torch.testing.assert_close(logvar, torch.cat([part for _, part in apart], dim=1))
    torch.nn.init.normal_(vae.encoder.fuse_mu.weight)
    fused = torch.cat([part for part, _ in apart], dim=1) @ vae.encoder.fuse_mu.weight.T
    torch.testing.assert_close(vae.encode(images())[0], fused + vae.encoder.fuse_mu.bias)


@pytest.mark.parametrize("name", ["ensemble", "hybrid"])
def test_maps_are_concatenated_on_the_finest_grid(name):
    vae = several(name)
    maps = vae.feature_maps(images())
    apart = [member.extract_features(images()) for member in vae.encoder.members.values()]
    for key, values in maps.items():
        cells = max(pyramid[key].shape[-1] for pyramid in apart)
        assert values.shape == (2, vae.map_channels[key], cells, cells)
        torch.testing.assert_close(
            values, torch.cat([resize(pyramid[key], cells) for pyramid in apart], dim=1)
        )
    assert vae.encoder.cells == maps["backbone"].shape[-1]


def test_every_member_learns_and_is_frozen_by_its_own_measure():
    vae = several("hybrid", freeze_layers=None).train()
    reconstruction, mu, logvar = vae(images(4))
    (reconstruction.square().mean() + mu.square().mean() + logvar.square().mean()).backward()
    members = vae.encoder.members
    assert (members["sam"].backbone.frozen_layers, members["resnet50"].backbone.frozen_layers) == (1, 0)
    for key, parameter in vae.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key


def test_the_checkpoint_rebuilds_it(tmp_path):
    from teacher.models.vae import EarVAE

    vae = several("ensemble")
    save_weights(tmp_path / "vae.ckpt", vae, "EarVAE")
    twin = EarVAE.load_from_checkpoint(tmp_path / "vae.ckpt")
    assert torch.equal(twin(images())[0], vae(images())[0])


@pytest.mark.parametrize(
    ("name", "options", "changes", "message"),
    [
        ("ensemble", {}, {}, r"has 0 member\(s\), at least two"),
        ("ensemble", {"members": ["mae"]}, {}, r"has 1 member\(s\)"),
        ("ensemble", {"members": ["mae", "resnet"]}, {}, "Did you mean 'resnet50'"),
        ("ensemble", {"member": ["mae", "sam"]}, {}, "'member' is unknown to ensemble"),
        ("hybrid", {"members": ["mae"]}, {}, "use ensemble for others"),
        ("hybrid", TINY_SEVERAL["hybrid"], {"latent_dim": 31}, "latent_dim=31 cannot be split evenly"),
        ("hybird", {}, {}, "Did you mean 'hybrid'"),
        ("margin", {}, {}, "python -m teacher.margin"),
    ],
)
def test_ensembles_that_make_no_sense(name, options, changes, message):
    with pytest.raises(UserError, match=message):
        tiny_vae(backbone=name, backbone_options=options, **changes)


def test_weights_are_given_by_member(tmp_path, offline):  # noqa: F811
    net = tiny_vae(
        backbone="mae", backbone_options=TINY_BACKBONES["mae"], freeze_layers=0
    ).encoder.backbone.net
    torch.save(net.state_dict(), tmp_path / "mae.pth")
    options = {"members": ["mae", "resnet50"]}
    with pytest.raises(UserError, match=r"timm/resnet50\.a1_in1k are not on this machine"):
        find_encoder_weights("ensemble", f"mae={tmp_path / 'mae.pth'}", options)
    with pytest.raises(UserError, match="'mea' names no member"):
        find_encoder_weights("ensemble", "mea=x.pth", options)


def test_all_that_fits_is_carried_over_and_the_rest_is_named(tmp_path, capsys):
    cheap = tiny_vae(
        1, backbone="mobilenetv3", backbone_options=TINY_BACKBONES["mobilenetv3"], freeze_layers=0
    )
    save_weights(tmp_path / "cheap.ckpt", cheap, "EarVAE")
    vae = tiny_vae(2)
    before = {key: value.clone() for key, value in vae.state_dict().items()}
    carry_over(vae, tmp_path / "cheap.ckpt", "EarVAE")
    given, now = cheap.state_dict(), vae.state_dict()
    for key, value in now.items():
        fits = not key.startswith("encoder.backbone.") and given[key].shape == value.shape
        assert torch.equal(value, given[key] if fits else before[key]), key
    carried, rest = capsys.readouterr().out.splitlines()
    assert "decoder.stages" in carried and "encoder.to_mu" in carried and "encoder.stage2" in carried
    assert "encoder.backbone" not in carried
    assert "encoder.backbone" in rest and "encoder.stage1 (1)" in rest  # its first kernel has other channels
