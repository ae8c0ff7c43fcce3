"""Turned ears: how far they are turned, and that they are read upright."""

import numpy as np
import pytest

from data.crops import apply, crop_matrix, invert, rotation_matrix
from data.landmarks import load_scheme
from students.inference.reading import CropView, PredictedPoints, in_photographs, read_points
from students.inference.upright import turn_of, upright_matrix

SCHEME = load_scheme()
EAR = SCHEME.mean_shape_unit * np.array([56.0, 100.0], np.float32) + np.array([40, 30], np.float32)
FACING_LEFT = np.array([136.0, 0.0], np.float32) + EAR * np.array([-1.0, 1.0], np.float32)


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    return apply(rotation_matrix(np.radians(degrees), np.array([68.0, 80.0])), points)


@pytest.mark.parametrize("degrees", [-170, -60, 0, 25, 90])
@pytest.mark.parametrize("ear", [EAR, FACING_LEFT], ids=["right", "left"])
def test_the_turn_is_found_whichever_side_the_ear_is(ear, degrees):
    points = turned(ear, degrees)
    assert np.degrees(turn_of(points, SCHEME.mean_shape_unit, SCHEME.flip)) == pytest.approx(
        degrees, abs=0.01
    )


def test_in_the_upright_crop_the_points_lie_as_those_of_the_ear_that_is_not_turned():
    points = turned(EAR, 50)
    seen = apply(upright_matrix(points, np.radians(50), 128, 0.1), points)
    box = np.concatenate([EAR.min(axis=0), EAR.max(axis=0)]) + 0.5
    np.testing.assert_allclose(seen, apply(crop_matrix(box, 128, 0.1), EAR), atol=0.01)


def reading_upright_alone(truth):
    """Read where the ear is upright within 15 degrees; in other crops ten px off, all points alike."""

    def read_once(photographs, matrices, mirrored):
        steepness = [np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) for matrix in matrices]
        read_once.turns.append((mirrored, np.round(steepness).tolist()))
        points = np.stack([truth + (0 if abs(s) > 30 else 10) for s in steepness])
        return PredictedPoints(points, np.ones(points.shape[:2], np.float32))

    read_once.turns = []
    return read_once


def test_a_turned_ear_is_read_again_in_an_upright_crop():
    truth, photograph = turned(EAR, 50), np.zeros((160, 160, 3), np.uint8)
    box = np.concatenate([truth.min(axis=0), truth.max(axis=0)]) + 0.5
    view = CropView(128, 0.1, SCHEME.flip, SCHEME.mean_shape_unit)
    read_once = reading_upright_alone(truth)
    points = read_points(read_once, view, [photograph], [box], "many").points_px[0]
    np.testing.assert_allclose(points, truth, atol=1e-3)
    assert read_once.turns == [(False, [0]), (False, [-50]), (True, [-50])]
    read_once = reading_upright_alone(truth)
    read_points(read_once, CropView(128, 0.1), [photograph], [box], "many")
    assert read_once.turns == [(False, [0]), (False, [0])], "nothing is known of these points"


def test_an_ear_that_is_hardly_turned_is_read_as_it_lies():
    view = CropView(128, 0.1, SCHEME.flip, SCHEME.mean_shape_unit)
    points = turned(EAR, 10)
    box = np.concatenate([points.min(axis=0), points.max(axis=0)]) + 0.5
    np.testing.assert_array_equal(view.again(points, box), view.matrix(box))
    assert invert(view.again(turned(EAR, 20), box))[0, 1] != 0


def test_points_that_are_hardly_an_ear_are_not_turned():
    scattered = np.random.default_rng(0).uniform(0, 100, (17, 2)).astype(np.float32)
    assert turn_of(scattered, SCHEME.mean_shape_unit, SCHEME.flip) == 0


def test_errors_of_a_mirrored_reading_change_places_with_their_points_and_come_in_px_of_the_photograph():
    """By hand: a crop of 64 px that shows 128 px; points 0 and 1 swap in a mirror, their errors too."""
    view, matrix = CropView(64, 0.1, [1, 0]), np.array([[0.5, 0, 0], [0, 0.5, 0]], np.float32)
    given = np.array([[[0.25, 0.5], [0.5, 0.5]]]), np.array([[0.9, 0.4]])
    read = in_photographs(view, [matrix], True, *given, np.array([[0.01, 0.02]]), np.array([0.7]))
    np.testing.assert_allclose(read.error_px, [[2.56, 1.28]])
    np.testing.assert_allclose(read.confidence, [[0.4, 0.9]])
    np.testing.assert_allclose(read.points_px, [[[63, 63], [95, 63]]])
    assert read.sureness.tolist() == [0.7]
