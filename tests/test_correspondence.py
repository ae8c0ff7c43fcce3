"""Places found again in a second view: the warp by hand, losses against cases worked out."""

import pytest
import torch

from configs.errors import UserError
from teacher.vae_training.correspondence import Correspondence, exchange_loss, matched_points, matching_loss

CELLS = 4
IMAGE_PX = 64  # cells of 16 px, centres at 7.5, 23.5, 39.5, 55.5


def one_hot_map(ears=1, order=None):
    """(ears, 16, 4, 4): every cell has a channel of its own, the same on all ears."""
    order = torch.arange(CELLS**2) if order is None else order
    return torch.eye(CELLS**2)[:, order].reshape(1, -1, CELLS, CELLS).repeat(ears, 1, 1, 1)


def mirrored():
    return torch.tensor([[[-1.0, 0, IMAGE_PX - 1], [0, 1, 0]]])


def unmoved(ears=1):
    return torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]).repeat(ears, 1, 1)


def test_cells_lie_where_the_warp_takes_them():
    assert torch.allclose(
        matched_points(unmoved(), CELLS, IMAGE_PX)[0, [0, 1, 4]],
        torch.tensor([[1 / 8, 1 / 8], [3 / 8, 1 / 8], [1 / 8, 3 / 8]]),
    )
    flipped = matched_points(mirrored(), CELLS, IMAGE_PX)
    assert torch.allclose(flipped[0, 0], torch.tensor([7 / 8, 1 / 8]))
    shifted = matched_points(torch.tensor([[[1.0, 0, 16], [0, 1, 0]]]), CELLS, IMAGE_PX)
    assert torch.allclose(shifted[0, 0], torch.tensor([3 / 8, 1 / 8]))
    assert shifted[0, 3, 0] > 1, "the last column left the second view"


def test_a_mirrored_map_matches_under_the_mirroring_warp_only():
    first = one_hot_map()
    second = first.flip(-1)
    right = matching_loss(first, second, matched_points(mirrored(), CELLS, IMAGE_PX))
    wrong = matching_loss(first, second, matched_points(unmoved(), CELLS, IMAGE_PX))
    assert right < wrong - 3


def test_a_map_without_places_costs_the_divergence_from_a_flat_heatmap():
    flat = torch.ones(2, 8, CELLS, CELLS)
    points = matched_points(unmoved(2), CELLS, IMAGE_PX)
    from teacher.models.heatmaps import gaussian_targets, kl_divergence

    target = gaussian_targets(points, CELLS, CELLS, sigma_cells=0.7)
    expected = kl_divergence(target, torch.zeros(2, CELLS**2, CELLS, CELLS)).mean()
    assert matching_loss(flat, flat, points) == pytest.approx(expected.item(), rel=1e-5)


def test_places_outside_the_second_view_count_nowhere():
    first = one_hot_map()
    far_away = torch.tensor([[[1.0, 0, 10 * IMAGE_PX], [0, 1, 0]]])
    assert matching_loss(first, first, matched_points(far_away, CELLS, IMAGE_PX)) == 0
    half_seen = torch.tensor([[[1.0, 0, IMAGE_PX / 2], [0, 1, 0]]])
    points = matched_points(half_seen, CELLS, IMAGE_PX)
    left_half_only = first.clone()
    left_half_only[..., 2:] = 1.0  # places that left the second view may look like anything
    assert matching_loss(first, first, points) == matching_loss(left_half_only, first, points)


def test_exchange_is_low_where_ears_share_what_their_channels_mean_and_high_where_they_do_not():
    points = matched_points(unmoved(2), CELLS, IMAGE_PX)
    soft = {"temperature": 0.4}  # one channel a cell leaves nothing between right and wrong
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(CELLS**2, generator=generator) for _ in range(2)]
    shared = torch.cat([one_hot_map(order=order) for order in orders])  # the same channels, elsewhere
    assert exchange_loss(shared, shared, points, **soft) < matching_loss(shared, shared, points, **soft) + 0.3
    one, nothing = one_hot_map(), torch.zeros_like(one_hot_map())
    foreign = torch.cat((torch.cat((one, nothing), dim=1), torch.cat((nothing, one), dim=1)))
    flat = torch.ones_like(shared)
    assert exchange_loss(foreign, foreign, points, **soft) == pytest.approx(
        matching_loss(flat, flat, points, **soft).item(), rel=1e-4
    ), "what comes back from an ear of other channels says nothing about places"


def test_one_ear_has_no_other_to_go_by():
    only = one_hot_map()
    assert exchange_loss(only, only, matched_points(unmoved(), CELLS, IMAGE_PX)) == 0


@pytest.mark.trains
def test_the_module_learns_to_tell_places_apart():
    torch.manual_seed(0)
    module = Correspondence("feat1", {"feat1": 16})
    maps = {"feat1": torch.cat((one_hot_map(2), one_hot_map(2).flip(-1)))}
    warps = mirrored().repeat(2, 1, 1)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    first = sum(module(maps, warps, IMAGE_PX).values())
    for _ in range(60):
        optimizer.zero_grad()
        loss = sum(module(maps, warps, IMAGE_PX).values())
        loss.backward()
        optimizer.step()
    assert loss < 0.5 * first


def test_an_unknown_map_is_named():
    with pytest.raises(UserError, match=r"'feat_2' is no map.*feat2"):
        Correspondence("feat_2", {})
