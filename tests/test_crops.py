"""Crops: exact matrices, no aliasing, and features that stay under their points."""

import numpy as np
import pytest

from data import crops


def dot_image(height: int, width: int, x: float, y: float, radius: float = 3.0) -> np.ndarray:
    """Black image with one soft bright dot, its centre of mass at (x, y)."""
    rows, columns = np.mgrid[:height, :width]
    dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.repeat((255 * dot).round().astype(np.uint8)[..., None], 3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    """Of what is clearly brighter than the grey outside the image."""
    weight = np.maximum(image[..., 0].astype(np.float64) - 140, 0)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def test_matrix_by_hand() -> None:
    """Box 20 x 40 at (10, 20), margin .25: window side 60, centred at edges (20, 40), to 120 px: scale 2."""
    matrix = crops.crop_matrix(np.array([10, 20, 30, 60]), 120, margin=0.25)
    window = crops.apply_to_boxes(matrix, np.array([20 - 30, 40 - 30, 20 + 30, 40 + 30]))
    np.testing.assert_allclose(window, [0, 0, 120, 120], atol=1e-4)
    np.testing.assert_allclose(crops.apply(matrix, np.array([19.5, 39.5])), [59.5, 59.5], atol=1e-4)


def test_the_whole_image_without_margin_is_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    matrix = crops.crop_matrix(np.array([0, 0, 128, 128]), 128, margin=0)
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(crops.crop(image, matrix, 128), image)


def test_the_context_is_the_view_with_a_border() -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 240, 3), dtype=np.uint8)
    matrix = crops.crop_matrix(np.array([90, 60, 150, 140]), 128)
    border, side = crops.context_border_px(128), crops.context_px(128)
    assert (border, side) == (32, 192)
    context = crops.crop(image, crops.compose(crops.shift_matrix(border, border), matrix), side)
    difference = context[32:160, 32:160].astype(int) - crops.crop(image, matrix, 128)
    assert abs(difference).max() <= 1  # rounding


@pytest.mark.parametrize("box_side", [30, 100, 128 / 1.2, 180, 400, 1500])
def test_a_dot_stays_under_its_point(box_side: float) -> None:
    x, y = 811.3, 640.7
    radius = box_side / 25
    image = dot_image(1280, 1600, x, y, radius)
    box = np.array([x - 0.3 * box_side, y - 0.6 * box_side, x + 0.4 * box_side, y + 0.4 * box_side])
    matrix = crops.crop_matrix(box, 128)
    found = centroid(crops.crop(image, matrix, 128))
    np.testing.assert_allclose(found, crops.apply(matrix, np.array([x, y])), atol=0.1)


def test_a_dot_stays_under_its_point_when_turned_and_shrunk() -> None:
    image = dot_image(900, 900, 500, 300, radius=12)
    angle, scale = 0.6, 0.21
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    matrix = np.column_stack([turn, [64, 64] - turn @ [480, 330]])
    found = centroid(crops.crop(image, matrix, 128))
    np.testing.assert_allclose(found, crops.apply(matrix, np.array([500, 300])), atol=0.1)


def test_shrinking_averages() -> None:
    """A checkerboard of single pixels must become grey, not moire."""
    rows, columns = np.mgrid[:1024, :1024]
    board = np.repeat((((rows + columns) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
    view = crops.crop(board, crops.crop_matrix(np.array([100, 100, 900, 900]), 128), 128)
    assert abs(view.astype(int) - 127.5).max() < 12


def test_outside_the_image_is_grey() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    view = crops.crop(image, crops.crop_matrix(np.array([-50, 0, 50, 100]), 120, margin=0), 120)
    assert (view[:, :58] == 114).all()
    assert (view[2:-2, 62:] == 0).all()
    for box in ([500, 500, 600, 600], [500, 500, 5000, 5000]):
        assert (crops.crop(image, crops.crop_matrix(np.array(box), 64, margin=0), 64) == 114).all()


def test_inverse_and_composition() -> None:
    matrix = np.array([[1.2, -0.4, 7], [0.3, 0.9, -5]], dtype=np.float32)
    points = np.random.default_rng(0).uniform(0, 100, (17, 2)).astype(np.float32)
    points[3] = np.nan
    there = crops.apply(matrix, points)
    np.testing.assert_allclose(crops.apply(crops.invert(matrix), there), points, atol=1e-3)
    assert np.isnan(there[3]).all()
    both = crops.compose(crops.shift_matrix(3, 4), matrix)
    np.testing.assert_allclose(crops.apply(both, points), there + np.array([3, 4]), atol=1e-4)


def test_flip_twice_is_the_identity_and_boxes_keep_their_edges() -> None:
    flip = crops.flip_matrix(128)
    np.testing.assert_array_equal(crops.compose(flip, flip), [[1, 0, 0], [0, 1, 0]])
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crops.crop(image, flip, 128), image[:, ::-1])
    np.testing.assert_allclose(crops.apply_to_boxes(flip, np.array([0, 0, 30, 128])), [98, 0, 128, 128])


@pytest.mark.parametrize("shape", [(100, 300), (300, 100), (333, 500), (17, 16)])
def test_letterbox_holds_the_whole_frame(shape: tuple[int, int]) -> None:
    height, width = shape
    matrix = crops.letterbox_matrix(height, width, 320)
    x1, y1, x2, y2 = crops.apply_to_boxes(matrix, np.array([0, 0, width, height]))
    scale = 320 / max(shape)
    np.testing.assert_allclose([x2 - x1, y2 - y1], [width * scale, height * scale], rtol=1e-4)
    np.testing.assert_allclose([x1 + x2, y1 + y2], [320, 320], atol=1e-2)
    view = crops.crop(np.full((height, width, 3), 9, np.uint8), matrix, 320)
    assert abs((view < 60).all(axis=2).mean() - min(shape) / max(shape)) < 0.02  # the rest is grey
