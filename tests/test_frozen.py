"""A frozen teacher stays asleep whatever is done to the modules around it."""

import copy

import pytest
import torch
from torch import nn

from configs.errors import UserError
from distill.teacher_maps.frozen_teacher import FrozenTeacher, layer_names


class _Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 4, 3, stride=8, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.to_mu = nn.Linear(4, 5)

    def extract_features(self, images):
        backbone = self.conv(images)
        return {"backbone": backbone, "feat1": 2 * backbone, "feat3": backbone.mean((2, 3), keepdim=True)}

    def latent(self, feat3):
        mu = self.to_mu(feat3.flatten(1))
        return mu, mu


class _Decoder(nn.Module):
    def features(self, latents):
        return {"dec8": latents[:, :, None, None].expand(-1, -1, 8, 8)}


class _Teacher(nn.Module):
    def __init__(self, decoder=True):
        super().__init__()
        self.encoder = _Encoder()
        if decoder:
            self.decoder = _Decoder()

    def forward(self, images):
        return self.feature_maps(images)["backbone"]

    def feature_maps(self, images):
        return self.encoder.extract_features(images)


class _Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)
        self.teacher = FrozenTeacher(_Teacher())


def test_train_does_not_wake_it_and_its_batch_norm_does_not_move():
    student = _Student()
    inner = student.teacher._teacher
    before = copy.deepcopy(inner.state_dict())
    student.train()
    student.teacher.train(True)
    assert student.training
    assert not any(module.training for module in inner.modules())
    images = torch.randn(4, 3, 32, 32) + 5
    assert torch.equal(student.teacher(images), student.teacher(images))  # dropout sleeps too
    assert all(torch.equal(before[key], value) for key, value in inner.state_dict().items())
    assert student.eval().training is False  # eval() of the module above works as ever


def test_nothing_makes_its_parameters_trainable():
    student = _Student().requires_grad_(True)
    student.teacher.requires_grad_(True)
    assert not any(parameter.requires_grad for parameter in student.teacher._teacher.parameters())
    student_maps = student.layer(torch.randn(2, 3, 4, 4))
    (student_maps - student.teacher(torch.randn(2, 3, 32, 32))).square().mean().backward()
    assert student.layer.weight.grad is not None
    assert all(parameter.grad is None for parameter in student.teacher._teacher.parameters())


def test_it_is_in_no_optimizer_and_in_no_checkpoint():
    student = _Student()
    assert {name for name, _ in student.named_parameters()} == {"layer.weight", "layer.bias"}
    state = student.state_dict()
    assert set(state) == {"layer.weight", "layer.bias"}
    _Student().load_state_dict(state, strict=True)


def test_it_follows_its_owner_to_another_precision():
    student = _Student().double()
    assert student.teacher(torch.zeros(1, 3, 16, 16, dtype=torch.float64)).dtype == torch.float64


def test_maps_are_named_pooled_and_concatenated():
    teacher = FrozenTeacher(_Teacher())
    images = torch.randn(2, 3, 64, 64)
    features = teacher._teacher.encoder.extract_features(images)
    maps = teacher.maps(images, "feat1+backbone+dec8", grid=4)
    assert maps.shape == (2, 4 + 4 + 5, 4, 4)
    by_hand = features["feat1"][:, :, :2, 2:4].mean(dim=(2, 3))
    assert torch.allclose(maps[:, :4, 0, 1], by_hand, atol=1e-6)
    mu, _ = teacher._teacher.encoder.latent(features["feat3"])
    assert torch.allclose(maps[:, 8:, 3, 3], mu, atol=1e-6)
    assert not maps.requires_grad


def test_layers_that_do_not_exist_are_named_in_the_error():
    images = torch.zeros(1, 3, 32, 32)
    with pytest.raises(UserError, match=r"'feet1'.*backbone, feat1, feat3.*Did you mean 'feat1'"):
        FrozenTeacher(_Teacher()).maps(images, "feet1", 4)
    with pytest.raises(UserError, match="no decoder"):
        FrozenTeacher(_Teacher(decoder=False)).maps(images, "dec8", 4)
    assert layer_names(" feat1 + dec16") == ["feat1", "dec16"]
    for wrong in ("", "feat1+", "feat1+feat1"):
        with pytest.raises(UserError, match="joined by"):
            layer_names(wrong)
