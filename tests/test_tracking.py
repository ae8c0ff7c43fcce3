"""Ears followed through a video: identities, losses, how often the detector looks, and the filter by hand."""

import math

import numpy as np
import pytest

from configs.errors import UserError
from data.landmarks import load_scheme
from students.inference.pipeline import Ear
from students.inference.reading import PredictedPoints
from students.inference.rescoring import points_extent
from students.inference.tracking.one_euro import OneEuroFilter, Smoothing
from students.inference.tracking.tracker import EarTracker

SHAPE = load_scheme().mean_shape_unit * np.array([22.0, 40.0], np.float32)
FRAME = np.zeros((200, 300, 3), np.uint8)


class World:
    """Stands where a pipeline and its landmarker stand: ears at known places, found where looked for."""

    def __init__(self, *ears: np.ndarray) -> None:
        self.ears, self.looks, self.detects = list(ears), 0, True
        self.landmarker = self

    def __call__(self, rgb):
        self.looks += 1
        found = self.ears if self.detects else []
        return [Ear(points_extent(ear), 0.8, ear, np.full(17, 0.9, np.float32)) for ear in found]

    def read_near(self, rgb, expected_px):
        points, confidence = np.array(expected_px), np.full((len(expected_px), 17), 0.1, np.float32)
        for row, expected in enumerate(expected_px):
            for ear in self.ears:
                if np.linalg.norm(ear.mean(axis=0) - expected.mean(axis=0)) < 12:
                    points[row], confidence[row] = ear, 0.9
        return PredictedPoints(points, confidence)


def ear_at(x: float, y: float) -> np.ndarray:
    return SHAPE + np.array([x, y], np.float32)


def watch(tracker, world, places, start_s=0.0, rate=20):
    """Identities in each frame, the first ear being at `places` one after another."""
    seen = []
    for index, place in enumerate(places):
        world.ears = [] if place is None else [ear_at(*place), *world.ears[1:]]
        seen.append([ear.identity for ear in tracker(FRAME, start_s + index / rate)])
    return seen


def test_a_moving_ear_keeps_its_identity_and_the_detector_looks_twice_a_second():
    world = World()
    tracker = EarTracker(world, look_every_s=0.5, smoothing=None)
    seen = watch(tracker, world, [(20 + 6 * frame, 50) for frame in range(30)])
    assert seen == [[0]] * 30
    assert world.looks == 3, "at 0, 0.5 and 1 s of 1.5"
    np.testing.assert_allclose(tracker(FRAME, 1.5)[0].points_px, world.ears[0])


def test_an_ear_hidden_for_a_second_is_the_same_one_and_after_two_another():
    world = World()
    tracker = EarTracker(world, remember_s=1.5)
    here, hidden = [(50, 50)] * 5, [None] * 20
    assert watch(tracker, world, here + hidden + here) == [[0]] * 5 + [[]] * 20 + [[0]] * 5
    seen = watch(tracker, world, hidden + hidden + here, start_s=2)
    assert seen[-5:] == [[1]] * 5


def test_two_ears_have_two_identities_in_the_order_of_appearance():
    world = World(ear_at(50, 50))
    tracker = EarTracker(world, look_every_s=0.1)
    assert [ear.identity for ear in tracker(FRAME, 0.0)] == [0]
    world.ears.append(ear_at(200, 60))
    tracker(FRAME, 0.05)
    ears = tracker(FRAME, 0.15)
    assert [ear.identity for ear in ears] == [0, 1]
    assert [ear.since_s for ear in ears] == [0.0, 0.15]
    np.testing.assert_allclose(ears[1].points_px, world.ears[1])


def test_what_the_detector_misses_twice_was_no_ear():
    world = World(ear_at(50, 50))
    tracker = EarTracker(world, look_every_s=0.5)
    tracker(FRAME, 0.0)
    world.detects = False
    assert [len(tracker(FRAME, time_s)) for time_s in (0.3, 0.6, 0.9, 1.2)] == [1, 1, 1, 0]


def test_two_tracks_that_slide_onto_one_ear_become_one():
    world = World(ear_at(50, 50), ear_at(80, 50))
    tracker = EarTracker(world, look_every_s=9)
    assert len(tracker(FRAME, 0.0)) == 2
    for step in range(1, 7):
        world.ears[1] = ear_at(80 - 5 * step, 50)
        ears = tracker(FRAME, 0.05 * step)
    assert [ear.identity for ear in ears] == [0]


def test_times_must_rise_and_cannot_be_negative():
    tracker = EarTracker(World())
    tracker(FRAME, 1.0)
    with pytest.raises(UserError, match=r"a frame at 1.0 s after one at 1.0 s"):
        tracker(FRAME, 1.0)
    with pytest.raises(UserError, match="at least 0"):
        EarTracker(World(), look_every_s=-1)


def test_one_step_of_the_filter_by_hand():
    """Cutoff 1 Hz, 0.1 s: a share of 1 / (1 + 1 / (0.2 pi)) = 0.386; the speed is 0.386 of 10 px in 0.1 s."""
    euro = OneEuroFilter(Smoothing(least_cutoff_hz=1.0, speed_gain=2.0, speed_cutoff_hz=1.0))
    np.testing.assert_array_equal(euro(np.zeros((1, 2)), 0.0, 100.0), [[0, 0]])
    alpha = 1 / (1 + 1 / (2 * math.pi * 0.1))
    cutoff = 1 + 2.0 * (alpha * 100) / 100
    wanted = 10 / (1 + 1 / (2 * math.pi * cutoff * 0.1))
    np.testing.assert_allclose(euro(np.array([[10.0, 0]]), 0.1, 100.0), [[wanted, 0]], rtol=1e-6)


def test_the_filter_calms_a_still_ear_and_follows_one_that_moves():
    rng = np.random.default_rng(0)
    times = np.arange(120) / 30
    for speed, calmer, behind_px in ((0.0, 0.4, 1.0), (150.0, 1.0, 5.0)):
        euro = OneEuroFilter(Smoothing())
        truth = np.stack([40 + speed * times, np.full(120, 50.0)], axis=1)
        read = truth + rng.normal(0, 0.7, truth.shape)
        smoothed = np.array([euro(point[None], t, 45.0)[0] for point, t in zip(read, times, strict=True)])
        assert abs((smoothed - truth)[30:].mean(axis=0)).max() < behind_px, "one frame's way is 5 px"
        assert np.diff(smoothed, 2, axis=0).std() < calmer * np.diff(read, 2, axis=0).std()


@pytest.mark.parametrize("bad", [{"least_cutoff_hz": 0}, {"speed_gain": -1}, {"speed_cutoff_hz": -2}])
def test_impossible_filters_are_refused(bad):
    with pytest.raises(UserError, match="cutoffs must be above 0"):
        Smoothing(**bad)
