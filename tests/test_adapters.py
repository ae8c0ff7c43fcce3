"""Adapters: shapes, that the order of projection and resize does not matter, and what the mask hides."""

import pytest
import torch

from distill.student.map_losses import cosine_loss, mse_loss
from distill.student.map_matching import Adapter, MapMatcher, MaskedGenerator, resize_map


@pytest.mark.parametrize("side", [4, 8, 16, 13])
def test_an_adapter_ends_on_the_teachers_channels_and_grid(side):
    adapter = Adapter(student_channels=6, teacher_channels=10, grid=8)
    maps = torch.randn(2, 6, side, side)
    out = adapter(maps)
    assert out.shape == (2, 10, 8, 8)
    # Projection and resize are linear: whichever comes first, the result is the same.
    assert torch.allclose(out, resize_map(adapter.project(maps), 8), atol=1e-5)
    assert torch.allclose(out, adapter.project(resize_map(maps, 8)), atol=1e-5)


def test_shrinking_averages_blocks_and_growing_keeps_a_ramp():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert resize_map(maps, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert resize_map(maps, 4) is maps
    # Cell centres of the grown ramp lie at quarter cells, clamped at the border.
    ramp = torch.tensor([0.0, 1.0]).expand(1, 1, 2, 2)
    assert resize_map(ramp, 4)[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_the_generator_sees_nothing_of_masked_locations():
    generator = MaskedGenerator(channels=3, masked_share=1.0)
    first, second = generator(torch.randn(2, 3, 8, 8)), generator(torch.randn(2, 3, 8, 8))
    assert torch.equal(first, second)
    assert first.shape == (2, 3, 8, 8)


def test_the_mask_hides_whole_locations_and_about_its_share():
    generator = MaskedGenerator(channels=4, masked_share=0.3)
    generator.generate = torch.nn.Identity()
    torch.manual_seed(0)
    maps = torch.ones(8, 4, 32, 32)
    seen = generator(maps)
    assert torch.equal(seen[:, 0], seen[:, 3])
    assert seen[:, 0].mean().item() == pytest.approx(0.7, abs=0.02)
    assert torch.equal(maps, torch.ones_like(maps))  # the input is not written to


def test_the_matcher_normalises_the_teacher_and_weighs_its_losses():
    teacher = torch.randn(2, 5, 4, 4) * torch.tensor([1.0, 100, 0.01, 3, 1])[:, None, None] + 7
    mean, std = teacher.mean(dim=(0, 2, 3)), teacher.std(dim=(0, 2, 3))
    matcher = MapMatcher(5, mean, std, grid=4, loss_weights={"cosine": 0.5, "mse": 2.0})
    with torch.no_grad():  # an adapter that passes its input on
        matcher.adapter.project.weight.copy_(torch.eye(5)[:, :, None, None])
        matcher.adapter.project.bias.zero_()
    normal = (teacher - mean[:, None, None]) / std[:, None, None]
    assert matcher(normal, teacher)[0].item() == pytest.approx(0, abs=1e-5)
    student = torch.randn(2, 5, 4, 4)
    total, parts = matcher(student, teacher)
    assert set(parts) == {"cosine", "mse"}
    wanted = 0.5 * cosine_loss(student, normal) + 2 * mse_loss(student, normal)
    assert total.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_cells_that_were_not_seen_teach_nothing():
    matcher = MapMatcher(5, torch.zeros(5), torch.ones(5), grid=4, loss_weights={"cosine": 0.9, "mse": 0.1})
    seen = torch.ones(2, 1, 4, 4)
    seen[0, 0, :, 0] = 0
    student, teacher = torch.randn(2, 5, 4, 4, requires_grad=True), torch.randn(2, 5, 4, 4)
    matcher(student, teacher, seen)[0].backward()
    assert (student.grad[0, :, :, 0] == 0).all()
    assert (student.grad[:, :, :, 1:].abs().sum(dim=1) > 0).all()


@pytest.mark.trains
def test_masked_generation_learns_what_the_seen_locations_tell():
    torch.manual_seed(0)
    teacher = torch.randn(8, 2, 1, 1).expand(8, 2, 8, 8)  # every location tells all the others
    matcher = MapMatcher(2, torch.zeros(2), torch.ones(2), 8, {"masked": 1.0}, masked_share=0.3)
    optimizer = torch.optim.Adam(matcher.parameters(), lr=0.02)
    losses = []
    for _ in range(100):
        loss, parts = matcher(teacher, teacher)
        assert set(parts) == {"masked"}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]  # 0.12 to 0.23 of it, by the seed
