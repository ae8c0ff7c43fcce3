"""Adapters: shapes, that the order of projection and resize does not matter, and what the mask hides."""

import pytest
import torch

from distill.adapters import Adapter, MaskedGenerator, resize_map


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
