"""SAM as a backbone: published sizes, any input size against timm, freezing by gradient, options that
make no sense.
"""

import pytest
import torch

from configs.errors import UserError
from teacher.models.backbones.build import build_backbone
from teacher.models.backbones.sam import IMAGE_MEAN, IMAGE_STD, SamBackbone, resize_position_tables
from teacher.models.vae import EarVAE

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 16,
    "window_size": 3,
    "global_attn_indexes": [1],
    "output_channels": 16,
    "mlp_ratio": 2.0,
    "input_size": 64,
}


def small(**options):
    torch.manual_seed(0)
    return build_backbone("sam", pretrained=False, options={**SMALL, **options})


def count(module, trainable=None):
    return sum(p.numel() for p in module.parameters() if trainable is None or p.requires_grad == trainable)


def test_published_sizes_have_the_published_counts():
    with torch.device("meta"):
        model = EarVAE(pretrained=False)
    assert count(model.encoder.backbone) == 89_670_912
    assert count(model.encoder) == 121_800_617
    assert count(model.encoder, trainable=True) == 78_636_457
    assert count(model.encoder, trainable=False) == 43_164_160
    assert count(model) == 148_101_036
    assert model.encoder.backbone.vision_encoder.pos_embed.requires_grad


def test_normalises_as_segment_anything_does():
    backbone = small()
    pixels = torch.randint(0, 256, (1, 3, 64, 64)).float()
    seen = []
    patches = backbone.vision_encoder.patch_embed
    patches.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    backbone(pixels / 127.5 - 1)
    mean, std = torch.tensor(IMAGE_MEAN).view(3, 1, 1) * 255, torch.tensor(IMAGE_STD).view(3, 1, 1) * 255
    torch.testing.assert_close(seen[0], (pixels - mean) / std, atol=1e-5, rtol=0)


def timm_sam(input_size):
    from timm.models.vision_transformer_sam import VisionTransformerSAM

    return VisionTransformerSAM(
        img_size=input_size, patch_size=16, num_classes=0, embed_dim=32, depth=2, num_heads=2, mlp_ratio=2.0,
        use_rel_pos=True, window_size=3, global_attn_indexes=(1,), neck_chans=16,
        norm_layer=lambda width, **_: torch.nn.LayerNorm(width, eps=1e-6),
    ).eval()  # fmt: skip


def randomise(model, seed=0):
    """Every parameter drawn at random, tables too: zeros would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def original_names(backbone):
    """The backbone's weights under Segment Anything's names, written out independently of sam_layouts."""
    names = {}
    for key, value in backbone.state_dict().items():
        key = key.removeprefix("vision_encoder.").replace("patch_embed.projection", "patch_embed.proj")
        key = key.replace("layers.", "blocks.").replace("layer_norm", "norm")
        for found, wanted in (("conv1", "0"), ("norm1", "1"), ("conv2", "2"), ("norm2", "3")):
            key = key.replace(f"neck.{found}.", f"neck.{wanted}.")
        names[key] = value
    return names


def test_equals_timm_and_at_another_input_size_too():
    ours = randomise(small()).eval()
    weights = {key.replace("mlp.lin", "mlp.fc"): value for key, value in original_names(ours).items()}
    for input_size in (64, 128, 48):
        theirs = timm_sam(input_size)
        fitted = dict(weights)
        if input_size != 64:  # timm resizes the relative positions itself, and the table only when it loads
            from timm.layers import resample_abs_pos_embed_nhwc

            cells = input_size // 16
            fitted["pos_embed"] = resample_abs_pos_embed_nhwc(weights["pos_embed"], (cells, cells))
            length = 2 * cells - 1
            for axis in "hw":
                key = f"blocks.1.attn.rel_pos_{axis}"
                fitted[key] = torch.nn.functional.interpolate(weights[key].t()[None], length, mode="linear")[
                    0
                ].t()
        theirs.load_state_dict(fitted)
        other = SamBackbone(**{**SMALL, "input_size": input_size}).eval()
        expected = {key: value.shape for key, value in other.state_dict().items()}
        other.load_state_dict(resize_position_tables(ours.state_dict(), expected))
        images = torch.rand(2, 3, input_size, input_size) * 2 - 1
        with torch.no_grad():
            theirs_map = theirs.forward_features(images * other._gain + other._offset)
            torch.testing.assert_close(other(images), theirs_map, atol=1e-4, rtol=0)


def test_resizing_to_the_same_size_changes_nothing():
    state = randomise(small()).state_dict()
    same = resize_position_tables(state, {key: value.shape for key, value in state.items()})
    assert all(torch.equal(same[key], value) for key, value in state.items())


def test_freezing_stops_gradients_up_to_there_and_not_beyond():
    backbone = small()
    backbone.freeze(1)
    backbone.train()
    backbone(torch.rand(1, 3, 64, 64)).square().mean().backward()
    frozen = {"vision_encoder.patch_embed", "vision_encoder.layers.0"}
    for name, parameter in backbone.named_parameters():
        assert (parameter.grad is None) == name.startswith(tuple(frozen)), name
    asleep = [backbone.vision_encoder.patch_embed, backbone.vision_encoder.layers[0]]
    assert not any(module.training for part in asleep for module in part.modules())
    assert backbone.vision_encoder.layers[1].training
    backbone.eval()
    assert not any(module.training for module in backbone.modules())


def test_freezing_nothing_leaves_the_patch_embedding_trainable():
    backbone = small()
    backbone.freeze(0)
    assert all(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden_size": 64}, "hidden_size"),
        ({"hidden_size": 33}, "multiple of num_attention_heads"),
        ({"input_size": 100}, "multiple of patch_size"),
        ({"global_attn_indexes": [5]}, "global_attn_indexes"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(UserError, match=message):
        small(**options)


def test_unknown_backbone_and_too_many_frozen_blocks():
    with pytest.raises(UserError, match="Did you mean 'sam'"):
        build_backbone("samm", pretrained=False)
    with pytest.raises(UserError, match="has 2 blocks"):
        small().freeze(3)
