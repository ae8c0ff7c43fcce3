"""The linear landmark probe: it finds what a map knows, and leaves the training alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from configs.errors import UserError
from data.manifest import read_manifest
from teacher import probe as command
from teacher.checkpoint import save_weights
from teacher.models.heatmaps import gaussian_targets
from teacher.vae_training.landmark_probe import ProbeCrops, ProbeEars, probe, reader_error
from tests.drawn_ears import draw_ears
from tests.tiny_teacher import tiny_vae

IMAGE_PX = 64


@pytest.fixture(scope="module")
def npy(tmp_path_factory):
    return draw_ears(tmp_path_factory.mktemp("probe"), "ears", photographs=12, seed=3, ears_each=2)


def random_ears(count=40, points=5):
    generator = torch.Generator().manual_seed(0)
    points_px = 4 + 56 * torch.rand(count, points, 2, generator=generator)
    images = torch.zeros(count, 3, IMAGE_PX, IMAGE_PX, dtype=torch.uint8)
    return ProbeCrops(images, points_px, torch.full((count, points), 2), np.arange(count) < count // 2)


@pytest.mark.trains
def test_a_map_that_holds_the_points_is_read_and_a_map_of_noise_is_not():
    ears = random_ears()
    unit = (ears.points_px + 0.5) / IMAGE_PX
    knows = gaussian_targets(unit, 16, 16).log().clamp_min(-20)
    noise = torch.randn(knows.shape, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    assert reader_error(knows, ears) < 0.02
    assert reader_error(noise, ears) > 0.15


def test_sources_stand_on_one_side_and_half_of_them_teach(npy):
    manifest = read_manifest(npy)
    ears = ProbeEars.of(manifest, npy, ears=0, seed=0)
    paths = ears.manifest.image_paths
    teaching, measuring = set(paths[ears.training]), set(paths[~ears.training])
    assert len(teaching) == len(measuring) == 6
    assert not teaching & measuring
    assert len(ProbeEars.of(manifest, npy, ears=10, seed=0).manifest) == 10


def test_every_map_is_probed_and_the_model_and_the_random_state_stay(npy):
    model = tiny_vae(freeze_layers=0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    crops = ProbeEars.of(read_manifest(npy), npy, 0, 0).at(IMAGE_PX)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    errors = probe(model, crops)
    assert torch.rand(1) == expected
    assert set(errors) == {"backbone", "feat1", "feat2", "feat3", "pyramid", "dec8", "dec16", "dec32"}
    assert all(0 < error < 1 for error in errors.values())
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert errors == probe(model, crops), "the same seed gives the same readers"


def test_the_command_writes_what_it_prints(npy, tmp_path, capsys):
    save_weights(tmp_path / "vae.ckpt", tiny_vae(), "EarVAE")
    command.main(command.Config(tmp_path / "vae.ckpt", npy, tmp_path / "probe"))
    written = json.loads((tmp_path / "probe" / "metrics.json").read_text())
    assert written["ears"] == 24
    assert f"NME {written['nme']['pyramid']:.4f}" in capsys.readouterr().out


def test_ears_without_landmarks_are_refused(npy):
    unlabelled = replace(read_manifest(npy), landmarks=None, visibility=None)
    with pytest.raises(UserError, match="at least two"):
        ProbeEars.of(unlabelled, npy, 0, 0)
