"""Published weights: every layout loads with equal outputs, what does not fit is named, and no network
fails at once.
"""

import socket
import time

import pytest
import torch

from configs.errors import UserError
from teacher.models import published_weights as weights_module
from teacher.models.backbones.build import build_backbone
from teacher.models.backbones.published import PUBLISHED
from teacher.models.published_weights import find_weights, load_sam_weights, load_vgg16_weights
from teacher.vae_training.perceptual import TAPS, PerceptualDistance, load_vgg16
from tests.test_sam_backbone import SMALL, original_names, randomise, small


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network and nothing in any cache."""

    def refuse(*_, **__):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "torch"))


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def hf_sam(images):
    """transformers' whole SAM with a small image encoder at random, and what that makes of the images."""
    from transformers import SamConfig, SamModel, SamVisionConfig

    sizes = {key: value for key, value in SMALL.items() if key != "input_size"}
    vision = SamVisionConfig(image_size=64, **sizes)
    decoder = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    prompt = {"hidden_size": 16, "image_size": 64, "mask_input_channels": 4}
    model = SamModel(
        SamConfig(vision_config=vision, mask_decoder_config=decoder, prompt_encoder_config=prompt)
    )
    randomise(model).eval()
    normal = small()
    with torch.no_grad():
        expected = model.vision_encoder(images * normal._gain + normal._offset).last_hidden_state
    return model, expected


def loaded(path, images, **options):
    backbone = build_backbone("sam", pretrained=True, weights=str(path), options=options).eval()
    with torch.no_grad():
        return backbone(images)


def test_folder_in_transformers_layout(tmp_path, images):
    model, expected = hf_sam(images)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(loaded(tmp_path, images), expected)
    assert load_sam_weights(str(tmp_path)).options == SMALL


def test_folder_with_the_old_bin_file(tmp_path, images):
    model, expected = hf_sam(images)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    torch.testing.assert_close(loaded(tmp_path, images), expected)


@pytest.mark.parametrize("wrap", [dict, lambda state: {"model": state, "epoch": 3}], ids=["plain", "wrapped"])
def test_segment_anything_and_medsam_pth(tmp_path, images, wrap):
    backbone = randomise(small()).eval()
    state = {f"image_encoder.{key}": value for key, value in original_names(backbone).items()}
    state["mask_decoder.iou_token.weight"] = torch.zeros(1, 16)
    state["prompt_encoder.no_mask_embed.weight"] = torch.zeros(1, 16)
    torch.save(wrap(state), tmp_path / "sam.pth")
    with torch.no_grad():
        expected = backbone(images)
    torch.testing.assert_close(loaded(tmp_path / "sam.pth", images), expected)


def test_hub_cache_is_used_without_asking_the_network(tmp_path, images, offline):
    model, expected = hf_sam(images)
    folder = tmp_path / "cache" / "models--someone--sam"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    model.save_pretrained(folder / "snapshots" / "abc")
    torch.testing.assert_close(loaded("someone/sam", images), expected)


def test_another_input_size_resizes_the_tables(tmp_path, images):
    model, _ = hf_sam(images)
    model.save_pretrained(tmp_path)
    maps = loaded(tmp_path, images, input_size=128)
    assert maps.shape == (2, 16, 8, 8)
    backbone = build_backbone("sam", pretrained=True, weights=str(tmp_path), options={"input_size": 128})
    found, given = backbone.vision_encoder, model.vision_encoder
    assert torch.equal(found.layers[0].attn.rel_pos_h, given.layers[0].attn.rel_pos_h)  # windowed: as it is
    assert found.layers[1].attn.rel_pos_h.shape[0] == 15
    # linear resizing keeps the middle row, distance zero, of an odd table
    torch.testing.assert_close(found.layers[1].attn.rel_pos_h[7], given.layers[1].attn.rel_pos_h[3])


def test_offline_says_at_once_what_to_put_where(offline):
    import huggingface_hub  # noqa: F401  (not counted: the import)

    start = time.monotonic()
    with pytest.raises(UserError) as raised:
        find_weights(None, PUBLISHED["sam"])
    assert time.monotonic() - start < 2
    for word in (
        "facebook/sam-vit-base",
        "model.safetensors",
        "--weights",
        "sam_vit_b_01ec64.pth",
        "--no-pretrained",
    ):
        assert word in str(raised.value)


def test_a_name_server_that_never_answers_costs_no_more_than_the_limit(offline, monkeypatch):
    def hang(*_, **__):
        time.sleep(3)
        raise OSError("gave up")

    monkeypatch.setattr(socket, "create_connection", hang)
    start = time.monotonic()
    with pytest.raises(UserError, match="cannot be reached"):
        find_weights("facebook/sam-vit-large", PUBLISHED["sam"])
    assert time.monotonic() - start < 2


def test_offline_vgg(offline, tmp_path):
    start = time.monotonic()
    with pytest.raises(UserError, match=r"vgg16-397923af\.pth") as raised:
        load_vgg16_weights()
    assert time.monotonic() - start < 2
    assert str(tmp_path / "torch" / "checkpoints") in str(raised.value)
    assert "--perceptual-weight 0" in str(raised.value)


def test_keys_that_do_not_fit_are_listed(tmp_path):
    state = {f"image_encoder.{key}": value for key, value in original_names(randomise(small())).items()}
    state["image_encoder.blocks.1.attn.surprise"] = torch.zeros(1)
    del state["image_encoder.blocks.0.norm1.weight"]
    torch.save(state, tmp_path / "sam.pth")
    with pytest.raises(UserError) as raised:
        build_backbone("sam", pretrained=True, weights=str(tmp_path / "sam.pth"))
    assert "layers.1.attn.surprise" in str(raised.value)
    assert "layers.0.layer_norm1.weight" in str(raised.value)


def test_weights_of_something_else_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet.pth")
    with pytest.raises(UserError, match=r"conv1\.weight"):
        load_sam_weights(str(tmp_path / "resnet.pth"))
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(UserError, match=r"cut\.safetensors.*truncated"):
        load_sam_weights(str(tmp_path / "cut.safetensors"))
    with pytest.raises(UserError, match="no such file or folder"):
        load_sam_weights(str(tmp_path / "absent.pth"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"Put model\.safetensors"):
        load_sam_weights(str(tmp_path / "empty"))


def test_options_that_contradict_the_weights(tmp_path, images):
    hf_sam(images)[0].save_pretrained(tmp_path)
    with pytest.raises(UserError, match="contradicts the weights"):
        build_backbone("sam", pretrained=True, weights=str(tmp_path), options={"hidden_size": 64})


@pytest.fixture(scope="module")
def vgg_state():
    """VGG16 at random, without its 123 M parameters of classifier."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        features = vgg16(weights=None).features
    generator = torch.Generator().manual_seed(0)
    return {
        f"features.{key}": torch.randn(value.shape, generator=generator) * 0.05
        for key, value in features.state_dict().items()
    }


def test_perceptual_distance_is_the_mean_over_taps(vgg_state, tmp_path):
    torch.save(vgg_state, tmp_path / "vgg.pth")
    distance = load_vgg16(str(tmp_path / "vgg.pth"))
    a, b = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    mean, std = (
        torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1),
        torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1),
    )

    def taps(image):
        current, kept = ((image + 1) / 2 - mean) / std, []
        for index in range(23):
            if f"features.{index}.weight" in vgg_state:
                weight, bias = vgg_state[f"features.{index}.weight"], vgg_state[f"features.{index}.bias"]
                current = torch.nn.functional.conv2d(current, weight, bias, padding=1)
            elif index in (4, 9, 16):
                current = torch.nn.functional.max_pool2d(current, 2)
            else:
                current = current.clamp(min=0)
            if index in TAPS:
                kept.append(current)
        return kept

    by_hand = sum((x - y).abs().mean() for x, y in zip(taps(a), taps(b), strict=True)) / 4
    torch.testing.assert_close(distance(a, b), by_hand)
    assert distance(a, a) == 0


def test_perceptual_network_stays_frozen_but_passes_gradients(vgg_state, tmp_path):
    torch.save(vgg_state, tmp_path / "vgg.pth")
    distance = load_vgg16(str(tmp_path / "vgg.pth")).train()
    assert isinstance(distance, PerceptualDistance)
    assert not any(module.training for module in distance.modules())
    assert not any(parameter.requires_grad for parameter in distance.parameters())
    image = torch.zeros(1, 3, 16, 16, requires_grad=True)
    distance(image, torch.ones(1, 3, 16, 16)).backward()
    assert image.grad.abs().sum() > 0


def test_vgg_from_the_hub_cache_and_misfits(vgg_state, tmp_path, offline):
    (tmp_path / "torch" / "checkpoints").mkdir(parents=True)
    torch.save(vgg_state, tmp_path / "torch" / "checkpoints" / weights_module.VGG16_FILE)
    load_vgg16()
    torch.save({**vgg_state, "features.0.bias": torch.zeros(3)}, tmp_path / "odd.pth")
    with pytest.raises(UserError, match=r"features\.0\.bias is \(3,\), needs \(64,\)"):
        load_vgg16(str(tmp_path / "odd.pth"))
