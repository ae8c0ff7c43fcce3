"""Published layouts: random weights saved as transformers, timm, open_clip, torchvision and the authors save
them load into the backbone, which then gives what the library that saved them gives.
"""

import time

import pytest
import torch

from configs.errors import UserError
from teacher.models.backbones.build import build_backbone, find_backbone_weights
from teacher.models.backbones.published import PUBLISHED
from tests.test_sam_backbone import randomise
from tests.test_teacher_weights import offline  # noqa: F401  (a fixture)
from tests.tiny_backbones import TINY_BACKBONES

SIDE_PX = {"mae": 64, "dinov2": 56, "biomedclip": 64, "convnextv2": 64, "convnext_tiny": 64}


def transformers_model(name):
    """transformers' own model of tiny sizes with random weights, and how it makes a map of pixel values."""
    import transformers as hf

    vit = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    side = SIDE_PX[name]
    if name == "mae":
        decoder = {f"decoder_{key}": 16 for key in ("hidden_size", "intermediate_size")}
        decoder |= {"decoder_num_attention_heads": 2, "decoder_num_hidden_layers": 1}
        model = hf.ViTMAEForPreTraining(
            hf.ViTMAEConfig(**vit, **decoder, intermediate_size=128, image_size=side, mask_ratio=0.0)
        )

        def tokens(pixels):
            # MAE shuffles its patches even when it hides none: the noise says how, ascending leaves them be
            noise = torch.arange(16.0).expand(len(pixels), -1)
            return model.vit(pixels, noise=noise).last_hidden_state

    elif name == "dinov2":
        model = hf.Dinov2Model(hf.Dinov2Config(**vit, mlp_ratio=4, image_size=side, patch_size=14))

        def tokens(pixels):
            return model(pixels).last_hidden_state

    else:
        kind = "ConvNextV2" if name == "convnextv2" else "ConvNext"
        config = getattr(hf, f"{kind}Config")(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
        model = getattr(hf, f"{kind}ForImageClassification")(config)
        trunk = model.convnextv2 if name == "convnextv2" else model.convnext

        def maps(pixels):
            _, _, *stages = trunk(pixels, output_hidden_states=True).hidden_states
            return on_one_grid(stages[-3:])

        return randomise(model).eval(), maps

    def last_map(pixels):
        cells = tokens(pixels)[:, 1:]
        grid = int(cells.shape[1] ** 0.5)
        return cells.transpose(1, 2).unflatten(2, (grid, grid))

    return randomise(model).eval(), last_map


def on_one_grid(stages):
    grid = stages[0].shape[-2:]
    resized = [torch.nn.functional.interpolate(values, size=grid, mode="bilinear") for values in stages]
    return torch.cat(resized, dim=1)


def pixel_values(name, images):
    """[-1,1] -> what the library is given, by its documentation."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (PUBLISHED[name].mean, PUBLISHED[name].std))
    return ((images + 1) / 2 - mean) / std


def images_of(name):
    side = SIDE_PX.get(name, 64)
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def loaded(name, path, **options):
    given = {**TINY_BACKBONES[name], **options}
    return build_backbone(name, pretrained=True, weights=str(path), options=given).eval()


@pytest.mark.parametrize("name", ["mae", "dinov2", "convnextv2", "convnext_tiny"])
def test_a_folder_of_transformers_gives_what_transformers_gives(tmp_path, name):
    model, maps = transformers_model(name)
    model.save_pretrained(tmp_path)
    images = images_of(name)
    with torch.no_grad():
        expected = maps(pixel_values(name, images))
        found = loaded(name, tmp_path)(images)
    assert expected.std() > 1e-2
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def timm_net(name):
    import timm

    options = {**PUBLISHED[name].options, **TINY_BACKBONES[name]}
    side = {"img_size": SIDE_PX[name]} if PUBLISHED[name].family == "vit" else {}
    return randomise(timm.create_model(options["network"], num_classes=5, **options["sizes"], **side)).eval()


def timm_map(name, net, images):
    cells = net.forward_features(pixel_values(name, images))
    if PUBLISHED[name].family == "vit":
        grid = net.patch_embed.grid_size
        return cells[:, net.num_prefix_tokens :].transpose(1, 2).unflatten(2, grid)
    return cells


AUTHORS = {  # what stands beside the trunk in the authors' files
    "mae": {"mask_token": (1, 1, 32), "decoder_blocks.0.norm1.weight": (8,), "decoder_pos_embed": (1, 17, 8)},
    "dinov2": {"mask_token": (1, 32)},
}


@pytest.mark.parametrize("name", ["mae", "dinov2"])
@pytest.mark.parametrize("wrap", [dict, lambda state: {"model": state}], ids=["plain", "wrapped"])
def test_the_authors_and_timms_files_of_transformers(tmp_path, name, wrap):
    net = timm_net(name)
    extra = {key: torch.zeros(shape) for key, shape in AUTHORS[name].items()}
    torch.save(wrap({**net.state_dict(), **extra}), tmp_path / "weights.pth")
    images = images_of(name)
    with torch.no_grad():
        expected = timm_map(name, net, images)
        torch.testing.assert_close(
            loaded(name, tmp_path / "weights.pth")(images), expected, atol=1e-5, rtol=1e-5
        )


def test_biomedclips_vision_trunk_loads_and_its_text_tower_does_not(tmp_path):
    net = timm_net("biomedclip")
    state = {f"visual.trunk.{key}": value for key, value in net.state_dict().items() if "head" not in key}
    state |= {"visual.head.proj.weight": torch.zeros(4, 32), "logit_scale": torch.zeros(())}
    state |= {"text.transformer.encoder.layer.0.output.dense.weight": torch.zeros(3, 3)}
    torch.save(state, tmp_path / "open_clip_pytorch_model.bin")
    images = images_of("biomedclip")
    backbone = loaded("biomedclip", tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(
            backbone(images), timm_map("biomedclip", net, images), atol=1e-5, rtol=1e-5
        )
    assert not any("text" in key for key in backbone.state_dict())


def authors_convnext(net):
    """timm's weights under the names of the ConvNeXt authors, written out independently of timm_layouts."""
    words = {
        ".conv_dw.": ".dwconv.",
        ".mlp.fc1.": ".pwconv1.",
        ".mlp.fc2.": ".pwconv2.",
        "head.norm.": "norm.",
    }
    words |= {".blocks.": ".", "stem.": "downsample_layers.0.", "head.fc.": "head."}
    words |= {".mlp.grn.weight": ".grn.gamma", ".mlp.grn.bias": ".grn.beta"}
    names = {}
    for key, value in net.state_dict().items():
        for found, wanted in words.items():
            key = key.replace(found, wanted)
        if ".downsample." in key:
            stage, place = key.removeprefix("stages.").split(".downsample.")
            key = f"downsample_layers.{stage}.{place}"
        names[key] = value.view(1, 1, 1, -1) if ".grn." in key else value
    return names


@pytest.mark.parametrize("name", ["convnextv2", "convnext_tiny"])
@pytest.mark.parametrize("layout", ["timm", "authors"])
def test_convnexts_of_timm_and_of_the_authors(tmp_path, name, layout):
    net = timm_net(name)
    state = net.state_dict() if layout == "timm" else authors_convnext(net)
    torch.save({"model": state} if layout == "authors" else state, tmp_path / "weights.pth")
    images = images_of(name)
    with torch.no_grad():
        found = loaded(name, tmp_path / "weights.pth", strides=[32])(images)
        torch.testing.assert_close(found, timm_map(name, net, images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("resnet50", "resnet50"),
        ("efficientnet_b3", "efficientnet_b3"),
        ("mobilenetv3", "mobilenet_v3_large"),
    ],
)
def test_torchvisions_files_give_what_torchvision_gives(tmp_path, name, theirs):
    """In full size: their names say nothing, so the layers' order and every shape are put to the test."""
    import torchvision

    torch.manual_seed(0)
    net = getattr(torchvision.models, theirs)(weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    images = images_of(name)
    with torch.no_grad():
        pixels = pixel_values(name, images)
        if name == "resnet50":
            trunk = torch.nn.Sequential(*list(net.children())[:-2])
        else:
            trunk = net.features[:-1] if name == "efficientnet_b3" else net.features
        expected = trunk(pixels)
        options = {"input_size": 64, "strides": [32]}
        backbone = build_backbone(
            name, pretrained=True, weights=str(tmp_path / "weights.pth"), options=options
        )
        found = backbone.eval()(images)
        twin = build_backbone(name, pretrained=False, options=backbone.options).eval()
        twin.load_state_dict(backbone.state_dict())
        largest = expected.abs().max()  # of fifty layers' sums, rounded otherwise by every arithmetic
        torch.testing.assert_close(found / largest, expected / largest, atol=1e-4, rtol=0)
        assert torch.equal(twin(images), found)  # what the layout needs is among the options


def test_another_input_size_resizes_the_position_table(tmp_path):
    net = timm_net("mae")
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    backbone = loaded("mae", tmp_path / "weights.pth", input_size=96)
    assert backbone.net.pos_embed.shape == (1, 1 + 36, 32)
    assert torch.equal(backbone.net.pos_embed[:, 0], net.pos_embed[:, 0])
    constant = {**net.state_dict(), "pos_embed": torch.full((1, 17, 32), 0.3)}
    torch.save(constant, tmp_path / "constant.pth")
    table = loaded("mae", tmp_path / "constant.pth", input_size=96).net.pos_embed
    torch.testing.assert_close(table, torch.full_like(table, 0.3))


@pytest.mark.parametrize("name", ["mae", "convnextv2", "resnet50"])
def test_keys_that_do_not_fit_are_listed(tmp_path, name):
    backbone = build_backbone(name, pretrained=False, options=TINY_BACKBONES[name])
    state = backbone.net.state_dict()
    missing = next(key for key in state if key.endswith("weight"))
    del state[missing]
    state["surprise.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(UserError) as raised:
        loaded(name, tmp_path / "weights.pth")
    assert f"1 missing: {missing}" in str(raised.value)
    assert "1 unknown: surprise.weight" in str(raised.value)


def test_weights_of_another_family_are_refused(tmp_path):
    torch.save(timm_net("mae").state_dict(), tmp_path / "mae.pth")
    for name in ("convnextv2", "resnet50", "efficientnet_b3", "dinov2"):
        with pytest.raises(UserError, match=r"mae\.pth: its keys do not fit this backbone"):
            loaded(name, tmp_path / "mae.pth")


@pytest.mark.parametrize("name", [name for name, published in PUBLISHED.items() if not published.package])
def test_offline_says_at_once_what_to_put_where(offline, name):  # noqa: F811
    import huggingface_hub  # noqa: F401  (not counted: the import)

    start = time.monotonic()
    with pytest.raises(UserError) as raised:
        find_backbone_weights(name)
    assert time.monotonic() - start < 2
    for words in (PUBLISHED[name].repository, PUBLISHED[name].files, "--weights", "--no-pretrained"):
        assert words in str(raised.value)
