"""The map losses against loops written by hand, scipy, and the identity student == teacher."""

import math

import pytest
import torch
from scipy.stats import pearsonr
from torch.nn import functional as F

from configs.errors import UserError
from distill.student.map_losses import (
    MAP_LOSSES,
    RELATION_TEMPERATURE,
    centre_and_scale,
    check_loss_weights,
    cosine_loss,
    faded,
    map_loss,
    mse_loss,
    normalise,
    pearson_loss,
    relation_locations_loss,
    relation_samples_loss,
    smooth_l1_loss,
)


def _maps(seed: int, shape=(3, 5, 2, 4)) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MAP_LOSSES)
def test_a_student_equal_to_its_teacher_loses_nothing(name):
    assert MAP_LOSSES[name](_maps(0), _maps(0)).item() == pytest.approx(0, abs=1e-6)
    assert MAP_LOSSES[name](_maps(1), _maps(0)).item() > 0.01


@pytest.mark.parametrize("name", MAP_LOSSES)
def test_the_gradient_reaches_the_student_and_points_downhill(name):
    student, teacher = _maps(1).requires_grad_(), _maps(0)
    loss = MAP_LOSSES[name](student, teacher)
    loss.backward()
    step = student.detach() - 0.01 * student.grad / student.grad.norm()
    assert MAP_LOSSES[name](step, teacher) < loss


@pytest.mark.parametrize("name", MAP_LOSSES)
def test_flat_and_single_maps_give_no_nan(name):
    one_cell, flat = torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 2, 2)
    for student, teacher in ((one_cell, one_cell.clone()), (flat, _maps(0, (1, 3, 2, 2)))):
        student.requires_grad_()
        loss = MAP_LOSSES[name](student, teacher)
        loss.backward()
        assert loss.isfinite()
        assert student.grad.isfinite().all()


def test_cosine_per_location_by_a_loop():
    student, teacher = _maps(1), _maps(0)
    values = []
    for b in range(3):
        for y in range(2):
            for x in range(4):
                s, t = student[b, :, y, x].tolist(), teacher[b, :, y, x].tolist()
                dot = sum(p * q for p, q in zip(s, t, strict=True))
                values.append(1 - dot / math.hypot(*s) / math.hypot(*t))
    assert cosine_loss(student, teacher).item() == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert cosine_loss(3 * teacher, teacher).item() == pytest.approx(0, abs=1e-6)
    assert cosine_loss(-teacher, teacher).item() == pytest.approx(2, abs=1e-6)


def test_smooth_l1_and_mse_by_a_loop():
    student, teacher = 2 * _maps(1), _maps(0)
    distances = (student - teacher).abs().flatten().tolist()
    assert max(distances) > 1 > min(distances)  # both branches are taken
    smooth = [0.5 * d * d if d < 1 else d - 0.5 for d in distances]
    assert smooth_l1_loss(student, teacher).item() == pytest.approx(sum(smooth) / len(smooth), rel=1e-5)
    mean_square = sum(d * d for d in distances) / len(distances)
    assert mse_loss(student, teacher).item() == pytest.approx(mean_square, rel=1e-5)


def test_pearson_is_one_less_the_correlation_of_each_channel():
    student, teacher = _maps(1), _maps(0)
    r = [pearsonr(student[:, c].flatten(), teacher[:, c].flatten()).statistic for c in range(5)]
    assert pearson_loss(student, teacher).item() == pytest.approx(1 - sum(r) / 5, abs=1e-5)
    # PKD's own form: half the squared difference of the standardised maps.
    s, t = (m.transpose(0, 1).flatten(1) for m in (student, teacher))
    s, t = ((m - m.mean(1, keepdim=True)) / m.std(1, keepdim=True, unbiased=False) for m in (s, t))
    assert pearson_loss(student, teacher).item() == pytest.approx(0.5 * F.mse_loss(s, t).item(), abs=1e-5)
    # Scale and shift of a channel do not matter.
    assert pearson_loss(4 * teacher - 7, teacher).item() == pytest.approx(0, abs=1e-5)


def _kl_by_hand(student: list[list[float]], teacher: list[list[float]]) -> float:
    def distribution(items, i):
        likeness = []
        for j in range(len(items)):
            if j != i:
                dot = sum(p * q for p, q in zip(items[i], items[j], strict=True))
                cosine = dot / math.hypot(*items[i]) / math.hypot(*items[j])
                likeness.append(math.exp(cosine / RELATION_TEMPERATURE))
        return [value / sum(likeness) for value in likeness]

    total = 0.0
    for i in range(len(student)):
        p, q = distribution(teacher, i), distribution(student, i)
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total / len(student)


def test_relation_of_locations_by_a_loop():
    student, teacher = _maps(1), _maps(0)
    by_hand = [
        _kl_by_hand(student[b].flatten(1).T.tolist(), teacher[b].flatten(1).T.tolist()) for b in range(3)
    ]
    assert relation_locations_loss(student, teacher).item() == pytest.approx(sum(by_hand) / 3, rel=1e-4)


def test_relation_of_samples_by_a_loop():
    student, teacher = _maps(1, (4, 5, 2, 4)), _maps(0, (4, 5, 2, 4))
    by_hand = _kl_by_hand(student.flatten(1).tolist(), teacher.flatten(1).tolist())
    assert relation_samples_loss(student, teacher).item() == pytest.approx(by_hand, rel=1e-4)


def test_the_total_is_the_weighted_sum_and_a_zero_weight_is_not_computed(monkeypatch):
    student, teacher = _maps(1), _maps(0)
    monkeypatch.setitem(MAP_LOSSES, "mse", lambda *_: pytest.fail("weight 0 was computed"))
    total, parts = map_loss(student, teacher, {"cosine": 0.9, "smooth_l1": 0.1, "mse": 0.0})
    assert set(parts) == {"cosine", "smooth_l1"}
    wanted = 0.9 * cosine_loss(student, teacher) + 0.1 * smooth_l1_loss(student, teacher)
    assert total.item() == pytest.approx(wanted.item())


def test_normalised_maps_have_zero_mean_and_unit_deviation():
    maps = _maps(0) * torch.tensor([1.0, 1000, 0.001, 5, 2])[:, None, None] + 3
    mean, std = maps.mean(dim=(0, 2, 3)), maps.std(dim=(0, 2, 3))
    normal = normalise(maps.half(), mean, std)
    assert normal.dtype == torch.float32
    normal = normalise(maps, mean, std)
    assert torch.allclose(normal.mean(dim=(0, 2, 3)), torch.zeros(5), atol=1e-3)
    assert torch.allclose(normal.std(dim=(0, 2, 3)), torch.ones(5), atol=1e-3)


def test_one_scale_for_all_channels_is_phi_s_for_losses_that_see_no_rotation():
    maps = (_maps(0, (6, 4, 8, 8)) * torch.tensor([1.0, 30, 0.1, 5])[:, None, None] + 3).double()
    maps[:, 1] += 4 * maps[:, 3]  # channels that go together
    rows = maps.transpose(0, 1).flatten(1)
    variances, axes = torch.linalg.eigh(torch.cov(rows))
    hadamard = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).double() / 2
    rotation = hadamard @ axes.T / variances.mean().sqrt()
    phi_s = rotation @ (rows - rows.mean(dim=1, keepdim=True))
    assert torch.allclose(phi_s.std(dim=1), torch.ones(4).double())  # what PHI-S is for
    mean, std = centre_and_scale("isotropic", rows.mean(dim=1), rows.std(dim=1))
    ours = ((rows - mean[:, None]) / std[:, None]).T
    assert torch.allclose(ours @ ours.T, phi_s.T @ phi_s)  # the same lengths and angles between all locations


def test_the_other_normalisations_and_a_misspelt_one():
    mean, std = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    assert centre_and_scale("channel", mean, std) == (mean, std)
    assert torch.equal(
        normalise(_maps(0, (1, 2, 3, 3)), *centre_and_scale("none", mean, std)), _maps(0, (1, 2, 3, 3))
    )
    with pytest.raises(UserError, match="normalise=phis: channel, isotropic or none"):
        centre_and_scale("phis", mean, std)


def test_the_fade_is_flat_and_then_a_line_to_zero():
    assert [faded(step, 100, 0.2) for step in (0, 79, 80, 90, 100)] == pytest.approx([1, 1, 1, 0.5, 0])
    assert faded(99, 100, 0.0) == 1.0
    assert [faded(step, 100, 1.0) for step in (0, 50, 100)] == pytest.approx([1, 0.5, 0])


def test_misspelt_and_senseless_weights_are_refused():
    check_loss_weights({"cosine": 0.9, "masked": 0.1, "mse": 0})
    with pytest.raises(UserError, match="Did you mean 'cosine'"):
        check_loss_weights({"cosin": 1.0})
    with pytest.raises(UserError, match="mse is -1"):
        check_loss_weights({"mse": -1.0})
    with pytest.raises(UserError, match="no-distill"):
        check_loss_weights({"cosine": 0.0})
