"""EarDetector: what it takes over from the VAE, which frame it speaks in, what learns and what may not."""

import pytest
import torch

from configs.errors import UserError
from teacher.detector_training.losses import (
    HIDDEN_FACTOR,
    DetectorTargets,
    detector_losses,
    edge_loss,
    edges_in_view,
    visibility_loss,
)
from teacher.detector_training.module import detector_parameter_groups
from teacher.models.detector import DetectorOutput, EarDetector, VisibilityHead
from teacher.models.fusion import PyramidFusion, resize
from teacher.models.heatmaps import gaussian_targets
from teacher.models.vae import EarVAE
from tests.tiny_teacher import tiny_vae

SMALL_HEAD = {"width": 16, "heatmap_cells": 16, "stem_channels": 8}


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    sam = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "patch_size": 8,
        "window_size": 4,
        "global_attn_indexes": [1],
        "output_channels": 12,
        "input_size": 64,
    }
    return EarVAE(
        latent_dim=8,
        image_size=64,
        freeze_layers=0,
        pretrained=False,
        backbone_options=sam,
        feature_channels=16,
        decoder="residual",
        decoder_channels=(16, 16, 8, 8),
    )


@pytest.fixture
def images():
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_it_takes_over_the_weights_and_leaves_the_vae_alone(vae, images):
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    detector = EarDetector.from_vae(vae, decoder_maps=True, **SMALL_HEAD)
    for name, value in detector.encoder.state_dict().items():
        assert torch.equal(value, vae.encoder.state_dict()[name]), name
    for name, value in detector.decoder.state_dict().items():
        assert torch.equal(value, vae.decoder.state_dict()[name]), name
    detector.eval()
    mine, theirs = detector.feature_maps(images), vae.eval().encoder.extract_features(images)
    assert torch.equal(mine["feat2"], theirs["feat2"])
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())


def test_the_twin_has_the_same_architecture_and_other_weights(vae):
    detector = EarDetector.from_vae(vae, **SMALL_HEAD)
    twin = EarDetector(**detector.hparams)
    assert {n: p.shape for n, p in twin.named_parameters()} == {
        n: p.shape for n, p in detector.named_parameters()
    }
    assert not torch.equal(twin.encoder.stage1[0].weight, detector.encoder.stage1[0].weight)


@pytest.mark.parametrize("decoder_maps", [False, True])
def test_shapes_and_frames_of_the_outputs(vae, images, decoder_maps):
    detector = EarDetector.from_vae(vae, num_landmarks=5, decoder_maps=decoder_maps, **SMALL_HEAD).eval()
    boxes, keypoints = detector(images)
    reading = detector.read(images)
    assert boxes.shape == (3, 5)
    assert keypoints.shape == (3, 5, 3)
    assert reading.point_heatmaps.shape == (3, 5, 20, 20)
    assert reading.edge_heatmaps.shape == (3, 4, 20, 20)
    assert torch.equal(keypoints[..., :2], reading.points_unit)
    assert torch.equal(keypoints[..., 2], reading.visibility_logits)
    left, top, right, bottom = reading.edges_unit.T
    torch.testing.assert_close(boxes[:, 0], (left + right) / 2)
    torch.testing.assert_close(boxes[:, 1], (top + bottom) / 2)
    torch.testing.assert_close(boxes[:, 2], right - left)
    torch.testing.assert_close(boxes[:, 3], bottom - top)
    assert torch.equal(boxes[:, 4], reading.ear_logits)


def test_each_edge_is_read_along_its_own_axis(vae, images, monkeypatch):
    detector = EarDetector.from_vae(vae, **SMALL_HEAD).eval()
    peaks = torch.tensor([[[0.2, 0.9], [0.9, 0.3], [0.8, 0.1], [0.1, 0.7]]])  # left, top, right, bottom
    points = torch.full((1, 17, 2), 0.5)
    maps = gaussian_targets(torch.cat((points, peaks), dim=1), 20, 20, margin_cells=2).clamp_min(1e-20).log()
    monkeypatch.setattr(detector.heatmaps, "forward", lambda fused: (torch.zeros(1, 16, 20, 20), maps))
    edges = detector.read(images[:1]).edges_unit[0].tolist()
    assert edges == pytest.approx([0.2, 0.3, 0.8, 0.7], abs=1e-3)


def test_gradients_reach_all_that_is_read_and_nothing_else(vae, images):
    detector = EarDetector.from_vae(vae, decoder_maps=True, **SMALL_HEAD)
    losses = detector_losses(detector.read(images), _targets(), detector.margin_cells)
    sum(losses.values()).backward()
    trainable = {name for name, p in detector.named_parameters() if p.requires_grad}
    touched = {name for name, p in detector.named_parameters() if p.grad is not None}
    assert touched == trainable
    assert all(torch.isfinite(p.grad).all() for p in detector.parameters() if p.grad is not None)
    assert not any("to_logvar" in name or "to_rgb" in name for name in trainable)


def test_a_frozen_encoder_neither_learns_nor_wakes_up(vae, images):
    detector = EarDetector.from_vae(vae, freeze_encoder=True, **SMALL_HEAD)
    detector.train()
    assert detector.training
    assert not any(module.training for module in detector.encoder.modules())
    before = {name: value.clone() for name, value in detector.encoder.state_dict().items()}
    optimizer = torch.optim.SGD(detector_parameter_groups(detector, lr=0.1, encoder_lr_scale=1.0))
    sum(detector_losses(detector.read(images), _targets(), detector.margin_cells).values()).backward()
    optimizer.step()
    for name, value in detector.encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_groups_hold_every_trainable_parameter_once(vae):
    detector = EarDetector.from_vae(vae, **SMALL_HEAD)
    groups = detector_parameter_groups(detector, lr=1e-3, encoder_lr_scale=0.1)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in detector.parameters() if p.requires_grad}
    of_encoder = {id(p) for p in detector.encoder.parameters()}
    for group in groups:
        assert {id(p) in of_encoder for p in group["params"]} == {group["name"] == "pretrained"}
        assert group["lr"] == pytest.approx(1e-4 if group["name"] == "pretrained" else 1e-3)
        assert {p.ndim >= 2 for p in group["params"]} <= {True, group["weight_decay"] > 0}
    frozen = EarDetector.from_vae(vae, freeze_encoder=True, **SMALL_HEAD)
    assert {group["name"] for group in detector_parameter_groups(frozen, 1e-3, 0.1)} == {"head"}


def test_no_landmarks_are_refused(vae):
    with pytest.raises(UserError, match="num_landmarks=0"):
        EarDetector.from_vae(vae, num_landmarks=0)


def test_visibility_reads_the_features_under_the_heatmap_without_moving_it():
    reader = VisibilityHead(width=2, points=1)
    with torch.no_grad():
        reader.weight.copy_(torch.tensor([[1.0, 10.0]]))
    features = torch.arange(2 * 9, dtype=torch.float32).reshape(1, 2, 3, 3)
    heatmaps = torch.full((1, 1, 3, 3), -1e4)
    heatmaps[0, 0, 1, 2] = 0.0
    heatmaps.requires_grad_()
    logit = reader(features, heatmaps)
    assert logit.item() == pytest.approx(5 + 10 * 14)
    logit.backward()
    assert heatmaps.grad is None


def test_fusion_sums_each_map_once_at_the_first_grid_fine_enough():
    """With every learned part an identity, the result is the sum of all maps, resized."""
    fusion = PyramidFusion(
        {"coarse": 4, "grid": 4, "fine": 4}, grid_cells=4, cells=8, width=4, stem_channels=0
    )
    fusion.lateral = torch.nn.ModuleDict({name: torch.nn.Identity() for name in ("coarse", "grid", "fine")})
    fusion.steps = torch.nn.ModuleList(torch.nn.Identity() for _ in fusion.grids)
    maps = {
        "coarse": torch.rand(1, 4, 2, 2),
        "grid": torch.rand(1, 4, 4, 4),
        "fine": torch.rand(1, 4, 16, 16),
    }
    expected = resize(resize(maps["coarse"], 4) + maps["grid"], 8) + resize(maps["fine"], 8)
    torch.testing.assert_close(fusion(maps, torch.zeros(1, 3, 8, 8)), expected)
    assert fusion.grids == [4, 8]


def test_edges_follow_shift_scale_and_flip_exactly():
    boxes = torch.tensor([[10.0, 20.0, 40.0, 80.0]]).expand(2, 4)
    matrices = torch.tensor([[[2.0, 0, -5], [0, 0.5, 1]], [[-1.0, 0, 127], [0, 1, 0]]])
    edges_px = edges_in_view(boxes, matrices, view_px=128) * 128
    # On points, whose centres lie at integers, x' = 2 x - 5; on edges that is 2 (x - .5) - 5 + .5.
    assert edges_px[0].tolist() == pytest.approx([14.5, 11.25, 74.5, 41.25], abs=1e-4)
    assert edges_px[1].tolist() == pytest.approx([88, 20, 118, 80], abs=1e-4)  # x' = 128 - x


def test_edges_of_a_turned_view_bound_the_inscribed_ellipse():
    angle = torch.tensor(0.6)
    rotation = torch.stack(
        (torch.stack((angle.cos(), -angle.sin())), torch.stack((angle.sin(), angle.cos())))
    )
    matrix = torch.cat((rotation, torch.tensor([[3.0], [-7.0]])), dim=1)
    turns = torch.linspace(0, 2 * torch.pi, 20_001)
    outline = torch.stack((24.5 + 15 * turns.cos(), 49.5 + 30 * turns.sin()))  # of the box 10, 20, 40, 80
    moved = rotation @ outline + torch.tensor([[3.0], [-7.0]])
    expected = torch.cat((moved.amin(dim=1), moved.amax(dim=1)))
    edges = edges_in_view(torch.tensor([[10.0, 20.0, 40.0, 80.0]]), matrix[None], view_px=64) * 64 - 0.5
    torch.testing.assert_close(edges[0], expected, atol=1e-3, rtol=0)


def test_edge_loss_is_zero_at_the_truth_and_ignores_what_is_missing():
    truth = torch.tensor([[0.1, 0.2, 0.9, 0.8]])
    peaks = torch.tensor([[[0.1, 0.5], [0.5, 0.2], [0.9, 0.5], [0.5, 0.8]]])
    maps = gaussian_targets(peaks, 20, 20, margin_cells=2).clamp_min(1e-20).log()
    assert edge_loss(maps, truth, truth, margin_cells=2).item() == pytest.approx(0.0, abs=1e-4)
    assert edge_loss(maps, truth, truth + 0.05, margin_cells=2).item() > 0.5
    nothing = torch.full((1, 4), float("nan"))
    assert edge_loss(maps, truth, nothing, margin_cells=2).item() == 0.0
    beyond = truth.clone()
    beyond[0, 2] = 1.5
    assert edge_loss(maps, truth, beyond, margin_cells=2).item() == pytest.approx(0.0, abs=1e-4)


def test_visibility_loss_counts_annotated_points_only():
    logits = torch.tensor([[2.0, -1.0, 50.0]])
    visible, hidden = torch.log1p(torch.exp(torch.tensor(-2.0))), torch.log1p(torch.exp(torch.tensor(-1.0)))
    by_hand = (visible + HIDDEN_FACTOR * hidden) / (1 + HIDDEN_FACTOR)
    assert visibility_loss(logits, torch.tensor([[2, 1, 0]])).item() == pytest.approx(
        by_hand.item(), rel=1e-5
    )
    assert visibility_loss(logits, torch.zeros(1, 3, dtype=torch.long)).item() == 0.0


def test_losses_of_crops_without_ears_are_finite_and_move_the_ear_logit_only(vae, images):
    detector = EarDetector.from_vae(vae, **SMALL_HEAD)
    reading = detector.read(images)
    targets = DetectorTargets(
        points_unit=torch.full((3, 17, 2), float("nan")),
        visibility=torch.zeros(3, 17, dtype=torch.uint8),
        edges_unit=torch.full((3, 4), float("nan")),
        is_ear=torch.zeros(3),
    )
    losses = detector_losses(reading, targets, detector.margin_cells)
    assert {name: losses[name].item() for name in ("points", "edges", "visibility")} == {
        "points": 0.0,
        "edges": 0.0,
        "visibility": 0.0,
    }
    assert losses["ear"] > 0
    assert isinstance(reading, DetectorOutput)


def _targets() -> DetectorTargets:
    generator = torch.Generator().manual_seed(4)
    edges = torch.tensor([[0.1, 0.1, 0.9, 0.9], [0.2, 0.0, 0.7, 1.0], [float("nan")] * 4])
    return DetectorTargets(
        points_unit=torch.rand(3, 17, 2, generator=generator),
        visibility=torch.randint(0, 3, (3, 17), generator=generator),
        edges_unit=edges,
        is_ear=torch.tensor([1.0, 1.0, 0.0]),
    )


def test_a_fused_map_that_came_with_the_vae_is_taken_over():
    sizes = {"width": 16, "cells": 16, "stem_channels": 8}
    vae = tiny_vae(fusion=sizes)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    options = {"width": 16, "heatmap_cells": 16, "stem_channels": 8}
    detector = EarDetector.from_vae(vae.eval(), **options).eval()
    assert torch.equal(detector.feature_maps(images)["fused"], vae.feature_maps(images)["fused"])
    assert "fusion" in detector.pretrained_modules()
    assert "fusion" not in detector.head_modules()
    frozen = EarDetector.from_vae(vae, freeze_encoder=True, **options)
    assert not any(parameter.requires_grad for parameter in frozen.fusion.parameters())
    other_sizes = EarDetector.from_vae(vae, **{**options, "width": 8})
    assert "fusion" in other_sizes.head_modules(), "another width starts from random weights"


def test_without_a_fused_map_the_vae_has_its_pyramid_alone():
    images = torch.zeros(1, 3, 64, 64)
    assert set(tiny_vae().feature_maps(images)) == {"backbone", "feat1", "feat2", "feat3"}
    assert tiny_vae(fusion={"width": 16, "cells": 16, "stem_channels": 8}).map_channels["fused"] == 16
