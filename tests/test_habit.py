"""A person's habit of setting points: learnt from a few ears, checked on others."""

from dataclasses import replace

import numpy as np
import pytest

from configs.errors import UserError
from data.crops import rotation_matrix
from data.landmarks import load_scheme
from data.metrics import nme
from distill.teacher_maps.habit import learn_habit
from students.inference.upright import mean_shape

SCHEME = load_scheme()


def draw_shapes(rng, count):
    """Mean shapes that a few numbers bend, (count, 17, 2), facing right."""
    bends = np.random.default_rng(1).normal(0, 0.03, (3, 17, 2))
    return mean_shape(SCHEME.mean_shape_unit) + np.einsum("nk,kpd->npd", rng.normal(size=(count, 3)), bends)


def other_habit(shapes):
    """Point 7 lower by a constant, point 4 by as much as point 3 lies to the left of point 2."""
    moved = shapes.copy()
    moved[:, 7, 1] += 0.08
    moved[:, 4, 1] += 0.8 * (shapes[:, 2, 0] - shapes[:, 3, 0])
    return moved


def as_photographed(rng, shapes, others):
    """Both, turned, mirrored, scaled and set anywhere in the same way."""
    out = []
    for shape, other in zip(shapes, others, strict=True):
        mirror = np.array([rng.choice([-1, 1]), 1])
        turn = rotation_matrix(rng.uniform(-0.6, 0.6), np.zeros(2))
        size, place = rng.uniform(60, 300), rng.uniform(0, 500, 2)
        out.append([size * (points * mirror) @ turn[:, :2].T + place for points in (shape, other)])
    return np.array(out).transpose(1, 0, 2, 3)


@pytest.fixture(scope="module")
def ears():
    rng = np.random.default_rng(0)
    shapes = draw_shapes(rng, 60)
    read, labelled = as_photographed(rng, shapes, other_habit(shapes))
    return read + rng.normal(0, 0.2, read.shape), labelled, np.full((60, 17), 2)


def test_a_habit_that_follows_the_ear_s_shape_is_learnt_from_22_ears(ears):
    read, labelled, visibility = ears
    habit = learn_habit(read[:22], labelled[:22], visibility[:22], SCHEME)
    before, after = (nme(points[22:], labelled[22:], visibility[22:]) for points in (read, habit.moved(read)))
    assert after.mean() < 0.25 * before.mean()
    assert habit.helps and habit.error_read == pytest.approx(before.mean(), rel=0.2)
    assert habit.error_moved == pytest.approx(after.mean(), rel=0.4), "leave-one-out foretells it"
    # a constant offset in the ear's own frame cannot do that: point 4 follows the shape
    assert (
        np.abs(habit.moved(read)[22:, 4] - labelled[22:, 4]).mean()
        < 0.3 * np.abs((read - labelled)[22:, 4]).mean()
    )


def test_points_that_are_not_labelled_have_no_part_in_it(ears):
    read, labelled, visibility = (values.copy() for values in ears)
    visibility[3:9, 4] = 0
    labelled[3:9, 4] = np.nan
    habit = learn_habit(read[:22], labelled[:22], visibility[:22], SCHEME)
    moved = habit.moved(read[22:])
    assert np.isfinite(moved).all()
    assert nme(moved, ears[1][22:], ears[2][22:]).mean() < 0.01


def test_where_labels_agree_with_what_is_read_nothing_moves_far(ears):
    read, _, visibility = ears
    noise = np.random.default_rng(2).normal(0, 2.0, read.shape)
    habit = learn_habit(read[:22], (read + noise)[:22], visibility[:22], SCHEME)
    assert nme(habit.moved(read[22:]), read[22:], visibility[22:]).mean() < 0.01
    assert "22 labelled ears: their points as read lie 0.0" in habit.in_words(22)


def test_too_little_to_learn_from_is_refused(ears):
    read, labelled, visibility = (values[:22].copy() for values in ears)
    with pytest.raises(UserError, match="4 labelled ears, 4 of which .* learnt from 5 or more"):
        learn_habit(read[:4], labelled[:4], visibility[:4], SCHEME)
    visibility[2:, 11] = 0
    with pytest.raises(UserError, match=f"2 of which have the point {SCHEME.names[11]}"):
        learn_habit(read, labelled, visibility, SCHEME)
    with pytest.raises(UserError, match="mean_shape_unit"):
        learn_habit(read, labelled, ears[2][:22], replace(SCHEME, mean_shape_unit=None))
