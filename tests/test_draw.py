"""Overlays: drawn where the points are, and only those that are there."""

import numpy as np

from data.draw import draw_boxes, draw_points, picture_grid
from data.landmarks import Scheme, load_scheme


def painted(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(n, 2) x, y of the pixels that changed."""
    return np.argwhere((before != after).any(axis=2))[:, ::-1]


def test_a_point_lies_where_it_is_also_when_enlarged() -> None:
    image = np.full((40, 60, 3), 80, np.uint8)
    for grow in (1, 4):
        plain = np.full((40 * grow, 60 * grow, 3), 80, np.uint8)
        found = painted(plain, draw_points(image, np.array([[20.5, 11.25]]), grow=grow))
        np.testing.assert_allclose(found.mean(axis=0), (np.array([20.5, 11.25]) + 0.5) * grow - 0.5, atol=0.3)
    assert (image == 80).all()


def test_what_is_not_annotated_is_not_drawn() -> None:
    image = np.zeros((30, 30, 3), np.uint8)
    points = np.array([[5, 5], [np.nan, np.nan], [25, 25]])
    scheme = Scheme(("a", "b", "c"), {"all": [0, 1, 2]}, [0, 1, 2])
    drawn = painted(image, draw_points(image, points, np.array([2, 0, 0]), scheme))
    assert (abs(drawn - 5) < 6).all()
    assert len(drawn)


def test_hidden_points_are_hollow_and_curves_join_points() -> None:
    image = np.full((200, 200, 3), 30, np.uint8)
    points = np.full((17, 2), np.nan)
    points[0], points[1] = (40, 40), (160, 160)
    seen = draw_points(image, points, np.full(17, 2))
    hidden = draw_points(image, points, np.full(17, 1))
    assert (seen[40, 40] == 255).all()
    assert not (hidden[40, 40] == 255).all()
    curve = draw_points(image, points, np.full(17, 2), load_scheme())
    assert (curve[100, 100] != 30).any()
    other = draw_points(
        image, points[:5], np.full(5, 2), load_scheme()
    )  # a scheme for other points: none drawn
    assert (other[100, 100] == 30).all()


def test_far_away_points_do_no_harm_and_boxes_are_outlines() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    draw_points(image, np.array([[1e9, -1e9], [3, 3]]))
    drawn = draw_boxes(image, np.array([[10, 10, 40, 30]]))
    assert drawn[10, 25].any()
    assert not drawn[20, 25].any()
    assert not image.any()


def test_a_grid_leaves_gaps_and_the_last_row_open() -> None:
    grid = picture_grid([np.zeros((10, 20, 3), np.uint8)] * 5, columns=3, gap_px=2)
    assert grid.shape == (22, 64, 3)
    assert (grid[12:, 44:] == 255).all()
    assert not grid[:10, :20].any()
