"""distill.study.bootstrap against cases by hand."""

import numpy as np
import pytest

from data.bootstrap import percentile_interval
from distill.study.bootstrap import (
    BEATS,
    SAME,
    WORSE,
    Draws,
    Measured,
    compare,
    measured_means,
    point_differences,
    verdict,
)


def test_draws_are_of_images_with_replacement_and_of_one_seed_less():
    draws = Draws.make(images=5, seeds=3, draws=200)
    assert draws.images.shape == (200, 5)
    assert (draws.images.sum(axis=1) == 5).all()
    assert len(np.unique(draws.images, axis=0)) > 50
    assert draws.seeds.shape == (200, 3)
    assert set(np.unique(draws.seeds)) == {0.0, 0.5, 1.0}  # two of three, with replacement
    np.testing.assert_allclose(draws.seeds.sum(axis=1), 1)
    assert (Draws.make(5, 1, 10).seeds == 1).all()
    again = Draws.make(5, 3, 200)
    np.testing.assert_array_equal(again.images, draws.images)
    np.testing.assert_array_equal(Draws.make(5, 2, 200).images, draws.images)  # whatever the seeds' number


def test_the_variance_between_seeds_is_that_of_their_mean():
    """One image: only seeds vary. Errors 1, 2, 6: s^2 = 7, so the mean of three has the variance 7 / 3."""
    draws = Draws.make(images=1, seeds=3, draws=40_000)
    measured = measured_means([np.array([value]) for value in (1.0, 2.0, 6.0)], draws)
    assert measured.mean == pytest.approx(3)
    assert measured.seed_std == pytest.approx(np.sqrt(7))
    assert measured.resampled(draws).var() == pytest.approx(7 / 3, rel=0.03)


def test_a_case_by_hand():
    """Two images, one seed, the draws written out: (2, 0), (1, 1), (0, 2)."""
    draws = Draws(np.array([[2.0, 0], [1, 1], [0, 2]]), np.ones((3, 1)))
    arm, baseline = (measured_means([np.array(values)], draws) for values in ([1.0, 3.0], [2.0, 4.0]))
    np.testing.assert_allclose(arm.resampled(draws), [1, 2, 3])
    result = compare(arm, baseline, draws)
    assert result["difference"] == pytest.approx(100 * (2 / 3 - 1))
    low, high = np.percentile([-50, -100 / 3, -25], [2.5, 97.5])
    assert result["interval"] == pytest.approx([low, high])
    assert result["verdict"] == BEATS
    assert result["noise"] is None  # one seed


def test_two_seeds_that_disagree_are_no_difference():
    """Of two seeds each draw takes one: the interval runs from one pair's difference to the other's."""
    draws = Draws.make(images=1, seeds=2, draws=500)
    arm = measured_means([np.array([0.9]), np.array([1.2])], draws)
    baseline = measured_means([np.array([1.0]), np.array([1.0])], draws)
    result = compare(arm, baseline, draws)
    assert result["interval"] == pytest.approx([-10, 20])
    assert result["verdict"] == SAME
    assert result["each_seed"] == pytest.approx([-10, 20])
    assert result["noise"] == pytest.approx(30 / np.sqrt(2))


def test_identical_arms_do_not_differ():
    draws = Draws.make(images=30, seeds=3, draws=300)
    errors = list(np.random.default_rng(0).random((3, 30)))
    arm = measured_means(errors, draws)
    result = compare(arm, arm, draws)
    assert (result["difference"], result["interval"], result["verdict"]) == (0, [0, 0], SAME)


@pytest.mark.parametrize(("factor", "expected"), [(0.9, BEATS), (1.1, WORSE)])
def test_a_clear_difference_is_seen_although_ears_differ_much_more(factor, expected):
    """Unpaired, the ears' spread of a factor of ten would hide 10 %."""
    rng = np.random.default_rng(1)
    baseline = [np.linspace(0.01, 0.1, 40) * rng.normal(1, 0.02, 40) for _ in range(3)]
    arm = [errors * factor * rng.normal(1, 0.02, 40) for errors in baseline]
    draws = Draws.make(images=40, seeds=3, draws=500)
    result = compare(measured_means(arm, draws), measured_means(baseline, draws), draws)
    assert result["verdict"] == expected
    assert result["difference"] == pytest.approx(100 * (factor - 1), abs=1.5)


def test_ap_is_compared_in_points_and_higher_is_better():
    draws = Draws(np.ones((2, 1)), np.ones((2, 1)))
    arm, baseline = (Measured(np.array([v]), np.full((2, 1), v)) for v in (0.55, 0.5))
    result = compare(arm, baseline, draws, lower_is_better=False)
    assert result["difference"] == pytest.approx(5)
    assert result["verdict"] == BEATS
    assert verdict([-3.0, -1.0], lower_is_better=False) == WORSE
    assert verdict([0.0, 1.0], lower_is_better=False) == SAME


def test_what_could_not_be_measured_counts_nowhere():
    draws = Draws(np.array([[2.0, 0], [1, 1], [0, 2]]), np.ones((3, 1)))
    measured = measured_means([np.array([1.0, np.nan])], draws)
    assert measured.mean == 1
    np.testing.assert_allclose(measured.resampled(draws), [1, 1, np.nan])
    assert percentile_interval(measured.resampled(draws)) == [1, 1]


def test_landmarks_by_hand():
    """Point 0 gains .2 in one ear and .4 in the other; point 1 loses .1 in the one ear where it is known."""
    draws = Draws(np.array([[2.0, 0], [0, 2]]), np.ones((2, 1)))
    arm, baseline = np.array([[0.1, 0.3], [0.1, np.nan]]), np.array([[0.3, 0.2], [0.5, np.nan]])
    result = point_differences([arm], [baseline], draws)
    assert result["difference"] == pytest.approx([-0.3, 0.1])
    assert result["low"][0] == pytest.approx(np.percentile([-0.2, -0.4], 2.5))
    assert result["high"][0] == pytest.approx(np.percentile([-0.2, -0.4], 97.5))
    assert (result["low"][1], result["high"][1]) == pytest.approx((0.1, 0.1))
