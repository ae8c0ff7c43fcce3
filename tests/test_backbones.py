"""Every backbone of the table keeps the contract: shapes, gradients, freezing, options that rebuild it."""

import copy

import pytest
import torch

from configs.errors import UserError
from teacher.models.backbones.build import build_backbone, default_frozen
from teacher.models.backbones.published import PUBLISHED
from tests.tiny_backbones import TINY_BACKBONES


def tiny(name, **changes):
    torch.manual_seed(0)
    return build_backbone(name, pretrained=False, options={**TINY_BACKBONES[name], **changes})


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_backbone_keeps_its_contract(name):
    backbone = tiny(name)
    images = torch.rand(2, 3, 128, 128) * 2 - 1
    maps = backbone(images)
    cells = backbone.input_size // backbone.stride
    assert maps.shape == (2, backbone.channels, cells, cells)
    assert maps.isfinite().all()
    assert maps.std() > 1e-3
    maps.square().mean().backward()
    without = [key for key, p in backbone.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []


@pytest.mark.parametrize("name", PUBLISHED)
def test_options_rebuild_it(name):
    backbone = tiny(name).eval()
    twin = build_backbone(name, pretrained=False, options=backbone.options).eval()
    twin.load_state_dict(backbone.state_dict())
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    assert torch.equal(backbone(images), twin(images))


@pytest.mark.parametrize("name", PUBLISHED)
def test_freezing_stops_gradients_up_to_there_and_not_beyond(name):
    backbone = tiny(name)
    backbone.freeze(1)
    backbone.train()
    before = [copy.deepcopy(part.state_dict()) for part in (*backbone.stem(), backbone.blocks()[0])]
    backbone(torch.rand(2, 3, 64, 64)).square().mean().backward()
    asleep = {id(p) for module in (*backbone.stem(), backbone.blocks()[0]) for p in module.parameters()}
    assert asleep
    for key, parameter in backbone.named_parameters():
        assert (parameter.grad is None) == (id(parameter) in asleep), key
    frozen = [*backbone.stem(), backbone.blocks()[0]]
    assert not any(module.training for part in frozen for module in part.modules())
    assert all(block.training for block in backbone.blocks()[1:])
    for part, kept in zip(frozen, before, strict=True):  # the statistics of batch norms stay too
        assert all(torch.equal(value, kept[key]) for key, value in part.state_dict().items())


def test_what_is_frozen_unless_asked_otherwise():
    assert default_frozen("sam", 12) == 6
    assert default_frozen("sam_large", 24) == 12
    assert default_frozen("sam_huge", 32) == 16
    assert default_frozen("convnextv2", 4) == 2
    assert {default_frozen(name, 4) for name in ("resnet50", "efficientnet_b3", "mobilenetv3")} == {0}


PARAMETERS = {  # published counts of the trunks, without class heads
    "sam": 89_670_912,
    "sam_large": 308_278_272,
    "sam_huge": 637_026_048,
    "mae": 85_798_656,
    "mae_large": 303_301_632,
    "mae_huge": 630_764_800,
    "dinov2": 86_580_480 - (1370 - 257) * 768 - 768,  # its table at 224 px, and no mask token
    "convnextv2_tiny": 27_864_960,
    "convnextv2": 87_690_752,
    "convnextv2_large": 196_419_840 - 2 * 1536,  # the norm before its class head
    "resnet50": 23_508_032,
}


def test_a_map_of_several_strides_is_the_stages_on_one_grid():
    backbone = tiny("resnet50", strides=[8, 16, 32]).eval()
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    fine, middle, coarse = backbone.stage_maps(images)
    assert [values.shape[-1] for values in (fine, middle, coarse)] == [8, 4, 2]
    whole = backbone(images)
    assert torch.equal(whole[:, : fine.shape[1]], fine)
    by_hand = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(whole[:, -coarse.shape[1] :], by_hand)


@pytest.mark.parametrize("name", ["mae", "biomedclip"])
def test_images_are_normalised_as_in_the_training_of_the_weights(name):
    backbone = tiny(name)
    seen = []
    backbone.net.patch_embed.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    unit = torch.rand(1, 3, 64, 64)
    backbone(unit * 2 - 1)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (PUBLISHED[name].mean, PUBLISHED[name].std))
    torch.testing.assert_close(seen[0], (unit - mean) / std, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mae", {"sizes": {"dept": 3}}, "vit_base_patch16_224.mae does not take them"),
        ("mae", {"input_size": 100}, "multiple of 16"),
        ("resnet50", {"strides": [7]}, r"no map at \[7\], only at"),
        ("resnet50", {"network": "resnet_fifty"}, "no network of timm"),
        ("resnet50", {"input_sise": 64}, "Did you mean 'input_size'"),
    ],
)
def test_options_that_make_no_sense(name, options, message):
    with pytest.raises(UserError, match=message):
        build_backbone(name, pretrained=False, options=options)


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_sizes_have_the_published_counts(name):
    with torch.device("meta"):
        backbone = build_backbone(name, pretrained=False)
    assert sum(p.numel() for p in backbone.parameters()) == PARAMETERS[name]
