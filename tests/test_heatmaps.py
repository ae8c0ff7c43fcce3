"""Soft-argmax, targets and loss against loops written by hand, closed forms and ONNX Runtime."""

import math

import numpy as np
import pytest
import torch

from teacher.models.heatmaps import (
    gaussian_targets,
    heatmap_loss,
    kl_divergence,
    point_weights,
    soft_argmax,
)


def test_soft_argmax_equals_a_loop_over_cells():
    logits = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    points, confidence = soft_argmax(logits)
    for b in range(2):
        for k in range(3):
            weights = [[math.exp(logits[b, k, i, j]) for j in range(7)] for i in range(5)]
            total = sum(map(sum, weights))
            x = sum(weights[i][j] * (j + 0.5) / 7 for i in range(5) for j in range(7)) / total
            y = sum(weights[i][j] * (i + 0.5) / 5 for i in range(5) for j in range(7)) / total
            windows = [
                sum(
                    weights[i][j]
                    for i in range(max(0, r - 2), min(5, r + 3))
                    for j in range(max(0, c - 2), min(7, c + 3))
                )
                for r in range(5)
                for c in range(7)
            ]
            assert points[b, k].tolist() == pytest.approx([x, y], abs=1e-5)
            assert confidence[b, k].item() == pytest.approx(max(windows) / total, abs=1e-5)


def test_a_single_peak_is_read_at_its_cell_centre():
    logits = torch.full((1, 1, 16, 32), -1e4)
    logits[0, 0, 15, 3] = 0.0
    points, confidence = soft_argmax(logits)
    assert points[0, 0].tolist() == pytest.approx([3.5 / 32, 15.5 / 16], abs=1e-6)
    assert confidence.item() == pytest.approx(1.0)


def test_the_unit_frame_agrees_with_pixels():
    """A peak in the cell of pixel x of a map as large as the crop must be read as (x + 0.5) / W."""
    logits = torch.full((1, 1, 128, 128), -1e4)
    logits[0, 0, 100, 17] = 0.0
    assert (soft_argmax(logits)[0][0, 0] * 128 - 0.5).tolist() == pytest.approx([17, 100], abs=1e-4)


@pytest.mark.parametrize("point", [(0.5, 0.5), (0.0, 1.0), (1.0, 0.02), (-0.02, 0.5)])
def test_points_at_the_border_are_reached_with_a_margin(point):
    """Without a margin the mean of a Gaussian at the border is pulled inwards by almost a cell."""
    points = torch.tensor([[point]])
    with_margin, _ = soft_argmax(_log(gaussian_targets(points, 38, 38, margin_cells=3)), margin_cells=3)
    assert (with_margin - points).abs().max() < 0.004
    if min(point) <= 0.0:
        without, _ = soft_argmax(_log(gaussian_targets(points, 32, 32)))
        assert (without - points).abs().max() > 0.02


def test_confidence_falls_with_a_second_peak_and_with_flatness():
    one = _log(gaussian_targets(torch.tensor([[[0.25, 0.25]]]), 32, 32))
    two = _log(
        gaussian_targets(torch.tensor([[[0.25, 0.25], [0.75, 0.75]]]), 32, 32).mean(dim=1, keepdim=True)
    )
    flat = torch.zeros(1, 1, 32, 32)
    values = [soft_argmax(logits)[1].item() for logits in (one, two, flat)]
    assert values[0] > 0.95
    assert values[1] == pytest.approx(values[0] / 2, abs=1e-3)
    assert values[2] == pytest.approx(25 / 1024, abs=1e-6)


def test_targets_sum_to_one_and_follow_the_gaussian():
    points = torch.tensor([[[0.4, 0.6], [0.99, 0.01], [5.0, -3.0]]])
    target = gaussian_targets(points, 20, 24, margin_cells=2, sigma_cells=1.5)
    assert target.shape == (1, 3, 20, 24)
    assert torch.allclose(target.sum(dim=(-1, -2)), torch.ones(1, 3), atol=1e-5)

    # Cell (i, j) lies at ((j - 2 + .5) / 20, (i - 2 + .5) / 16): ratios of the Gaussian, written out.
    def density(i, j):
        return math.exp(-0.5 * (((j - 1.5) - 0.4 * 20) ** 2 + ((i - 1.5) - 0.6 * 16) ** 2) / 1.5**2)

    ratio = (target[0, 0, 12, 11] / target[0, 0, 10, 8]).item()
    assert ratio == pytest.approx(density(12, 11) / density(10, 8), rel=1e-4)


def test_the_divergence_is_zero_for_equals_and_agrees_with_scipy():
    from scipy.stats import entropy

    target = gaussian_targets(torch.tensor([[[0.4, 0.6]]]), 8, 8)
    logits = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    predicted = torch.softmax(logits.flatten(), 0).double().numpy()
    wanted = target.flatten().double().numpy()
    assert kl_divergence(target, logits).item() == pytest.approx(entropy(wanted, predicted), rel=1e-4)
    assert kl_divergence(target, _log(target)).item() == pytest.approx(0.0, abs=1e-5)


def test_loss_is_zero_at_the_target_and_grows_with_distance():
    points = torch.tensor([[[0.3, 0.4], [0.7, 0.9]]])
    visibility = torch.full((1, 2), 2)
    losses = [
        heatmap_loss(_log(gaussian_targets(points + shift, 36, 36, 2)), points, visibility, 2).item()
        for shift in (0.0, 0.02, 0.05, 0.1)
    ]
    assert losses[0] == pytest.approx(0.0, abs=0.01)
    assert losses == sorted(losses)
    assert losses[1] > 0.1


def test_visibility_weighs_points_and_unannotated_ones_count_nowhere():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 3, 12, 12, generator=generator)
    points = torch.rand(1, 3, 2, generator=generator)
    alone = [heatmap_loss(logits[:, [k]], points[:, [k]], torch.full((1, 1), 2)).item() for k in range(3)]
    both = heatmap_loss(logits, points, torch.tensor([[2, 1, 0]]), hidden_weight=0.5).item()
    assert both == pytest.approx((alone[0] + 0.5 * alone[1]) / 1.5, rel=1e-5)
    weighted = heatmap_loss(
        logits, points, torch.tensor([[2, 2, 2]]), weight=torch.tensor([[0.2, 0.0, 0.6]])
    ).item()
    assert weighted == pytest.approx((0.2 * alone[0] + 0.6 * alone[2]) / 0.8, rel=1e-5)


def test_missing_points_give_no_nan_and_no_gradient():
    logits = torch.randn(2, 3, 12, 12, requires_grad=True)
    points = torch.full((2, 3, 2), float("nan"))
    loss = heatmap_loss(logits, points, torch.zeros(2, 3, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_points_beyond_the_map_count_nowhere():
    points = torch.tensor([[[0.5, 0.5], [1.05, 0.5], [1.2, 0.5], [0.5, -0.2]]])
    visible = torch.full((1, 4), 2)
    assert point_weights(points, visible, (36, 36), 2, 0.5).tolist() == [[1, 1, 0, 0]]
    assert point_weights(points, visible, (32, 32), 0, 0.5).tolist() == [[1, 0, 0, 0]]


def test_gradient_of_the_loss_is_the_numerical_one():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(1, 2, 6, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    points = torch.rand(1, 2, 2, generator=generator, dtype=torch.float64)
    visibility = torch.tensor([[2, 1]])
    assert torch.autograd.gradcheck(lambda values: heatmap_loss(values, points, visibility), (logits,))


def test_descent_on_the_logits_finds_the_point():
    points = torch.tensor([[[0.05, 0.9]]])
    logits = torch.zeros(1, 1, 36, 36, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(150):
        optimizer.zero_grad()
        heatmap_loss(logits, points, torch.tensor([[2]]), 2).backward()
        optimizer.step()
    assert (soft_argmax(logits, 2)[0] - points).abs().max() < 0.01


def test_half_precision_maps_are_read_in_full_precision():
    logits = _log(gaussian_targets(torch.tensor([[[0.3, 0.7]]]), 32, 32)).clamp_min(-30)
    points, _ = soft_argmax(logits.bfloat16())
    assert points.dtype == torch.float32
    assert (points - torch.tensor([0.3, 0.7])).abs().max() < 0.005


def test_soft_argmax_exports_to_onnx(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")

    class Reader(torch.nn.Module):
        def forward(self, logits):
            return soft_argmax(logits, margin_cells=2)

    logits = torch.randn(1, 17, 36, 36)
    path = tmp_path / "reader.onnx"
    torch.onnx.export(Reader().eval(), (logits,), path, dynamo=True, external_data=False, verbose=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    points, confidence = session.run(None, {session.get_inputs()[0].name: logits.numpy()})
    wanted_points, wanted_confidence = soft_argmax(logits, margin_cells=2)
    np.testing.assert_allclose(points, wanted_points.numpy(), atol=1e-5)
    np.testing.assert_allclose(confidence, wanted_confidence.numpy(), atol=1e-5)


def _log(probabilities):
    return probabilities.clamp_min(1e-20).log()
