"""Augmentation: what moves, moves together; what is seeded, repeats; what is off, does nothing."""

import pickle

import numpy as np
import pytest

from configs.errors import UserError
from data import crops
from data.augmentation import FrameConfig, GeometryConfig, PhotometryConfig
from data.transforms import FrameAugmentation, Geometry, Photometry

STILL = GeometryConfig(flip=0, rotate_deg=0, shift=0, scale=0, box_jitter=0)
OFF = PhotometryConfig(light=0, noise=0, blur=0, occlusion=0, jpeg=0)


def dots(side_px: int, points: np.ndarray, radius: float = 2.0) -> np.ndarray:
    """A grey image with a soft bright dot at each of three points, one in each channel."""
    rows, columns = np.mgrid[:side_px, :side_px]
    image = np.full((side_px, side_px, 3), 60.0)
    for channel, (x, y) in enumerate(points):
        image[..., channel] += 180 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return image.round().astype(np.uint8)


def centroid(image: np.ndarray, channel: int) -> np.ndarray:
    weight = np.maximum(image[..., channel].astype(np.float64) - 125, 0)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def photograph(side_px: int = 128) -> np.ndarray:
    """Smooth noise, as photographs are smooth."""
    noise = np.random.default_rng(0).normal(0, 1, (8, 8, 3))
    return np.clip(127 + 50 * np.kron(noise, np.ones((side_px // 8, side_px // 8, 1))), 0, 255).astype(
        np.uint8
    )


def test_without_anything_the_view_is_the_middle_of_the_context() -> None:
    context = np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    points = np.array([[96, 100], [np.nan, np.nan]], dtype=np.float32)
    view, moved, matrix = Geometry(STILL, 128)(context, points, seed=3)
    np.testing.assert_array_equal(view, context[32:160, 32:160])
    np.testing.assert_allclose(moved, [[64, 68], [np.nan, np.nan]])
    np.testing.assert_array_equal(matrix, [[1, 0, -32], [0, 1, -32]])


def test_flip_alone_mirrors_the_view() -> None:
    context = np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    always = Geometry(GeometryConfig(flip=1, rotate_deg=0, shift=0, scale=0, box_jitter=0), 128)
    view, moved, matrix = always(context, np.array([[32.0, 50.0]]), seed=0)
    np.testing.assert_array_equal(view, context[32:160, 32:160][:, ::-1])
    np.testing.assert_allclose(moved, [[127, 18]])
    assert np.linalg.det(matrix[:, :2]) < 0


@pytest.mark.parametrize("seed", range(25))
def test_dots_stay_under_their_points(seed: int) -> None:
    """Oracle: the centre of mass of each dot, found again in the augmented view."""
    points = np.array([[96.3, 101.8], [80.5, 75.1], [120.9, 90.4]], dtype=np.float32)
    strong = GeometryConfig(flip=0.5, rotate_deg=40, shift=0.08, scale=0.25, box_jitter=0.1)
    view, moved, matrix = Geometry(strong, 128)(dots(192, points), points, seed)
    found = np.array([centroid(view, channel) for channel in range(3)])
    np.testing.assert_allclose(found, moved, atol=0.2)
    np.testing.assert_allclose(crops.apply(matrix, points), moved, atol=1e-4)


def test_geometry_keeps_to_its_limits_and_uses_them() -> None:
    config = GeometryConfig(flip=0.5, rotate_deg=20, shift=0.05, scale=0.1, box_jitter=0.04)
    geometry, context = Geometry(config, 128), np.zeros((192, 192, 3), np.uint8)
    matrices = np.array([geometry(context, np.zeros((0, 2)), seed)[2] for seed in range(300)])
    turns = matrices[:, :, :2]
    flipped = np.linalg.det(turns) < 0
    scale = np.sqrt(abs(np.linalg.det(turns)))
    unflipped = np.where(flipped[:, None, None], turns * [[-1, 1]], turns)
    angle = np.degrees(np.arctan2(unflipped[:, 1, 0], unflipped[:, 0, 0]))
    middle = np.einsum("nij,j->ni", turns, [95.5, 95.5]) + matrices[:, :, 2] - 63.5
    assert 0.4 < flipped.mean() < 0.6
    assert 18 < abs(angle).max() <= 20.01
    assert 0.86 - 1e-3 <= scale.min() < 0.88
    assert 1.12 < scale.max() <= 1.14 + 1e-3
    assert 9 < abs(middle).max() <= 128 * (0.05 + 0.04 / 1.2) + 1


def test_the_same_seed_gives_the_same_bytes_in_any_order_and_process() -> None:
    geometry, photometry = Geometry(GeometryConfig(), 128), Photometry(PhotometryConfig())
    context = photograph(192)
    views = [geometry(context, np.zeros((0, 2)), seed)[0] for seed in range(10)]
    looks = [photometry(views[0], seed) for seed in range(10)]
    geometry, photometry = pickle.loads(pickle.dumps((geometry, photometry)))
    for seed in (7, 2, 2, 9):
        np.testing.assert_array_equal(geometry(context, np.zeros((0, 2)), seed)[0], views[seed])
        np.testing.assert_array_equal(photometry(views[0], seed), looks[seed])
    assert len({view.tobytes() for view in views}) == 10


def test_inputs_are_not_written_to() -> None:
    context, points = photograph(192), np.full((17, 2), 90, np.float32)
    kept = context.copy()
    context.setflags(write=False)
    view, _, _ = Geometry(STILL, 128)(context, points, 0)
    for seed in range(40):
        Geometry(GeometryConfig(), 128)(context, points, seed)
        Photometry(PhotometryConfig())(view, seed)
    np.testing.assert_array_equal(context, kept)
    assert (points == 90).all()


def test_photometry_off_is_the_identity() -> None:
    image = photograph()
    np.testing.assert_array_equal(Photometry(OFF)(image, 5), image)


@pytest.mark.parametrize("part", ["light", "noise", "blur", "occlusion", "jpeg"])
def test_each_part_changes_the_picture_but_not_beyond_recognition(part: str) -> None:
    only = PhotometryConfig(**{name: float(name == part) for name in PhotometryConfig.__dataclass_fields__})
    photometry, image = Photometry(only), photograph()
    differences = [abs(photometry(image, seed).astype(int) - image).mean() for seed in range(40)]
    assert max(differences) > 0.5
    assert np.median(differences) < 30


@pytest.mark.parametrize("part", ["blur", "noise", "jpeg", "light"])
def test_photometry_moves_nothing(part: str) -> None:
    """Oracle: a dot's centre of mass stays, also under motion blur and scaling down and up."""
    only = PhotometryConfig(**{name: float(name == part) for name in PhotometryConfig.__dataclass_fields__})
    photometry, at = Photometry(only), np.array([[61.4, 66.7]] * 3)
    image = dots(128, at, radius=6)
    image = np.maximum(image, image[..., :1])
    found = np.array([centroid(photometry(image, seed), 0) for seed in range(60)])
    assert abs(found - at[0]).max() < 0.35
    assert abs(found.mean(axis=0) - at[0]).max() < 0.05


def test_occlusion_hides_some_of_it() -> None:
    only = PhotometryConfig(light=0, noise=0, blur=0, occlusion=1, jpeg=0)
    image = np.full((128, 128, 3), 77, np.uint8)
    hidden = np.array([(Photometry(only)(image, seed) != image).any(axis=2).mean() for seed in range(100)])
    assert 0.15 < (hidden > 0).mean() < 0.5
    assert hidden.max() < 0.3


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shape", [(240, 400), (900, 500)])
def test_frames_carry_dots_and_boxes_along(shape: tuple[int, int], seed: int) -> None:
    height, width = shape
    points = np.array(
        [[0.4 * width, 0.5 * height], [0.5 * width, 0.6 * height], [0.6 * width, 0.45 * height]]
    )
    side = max(shape)
    image = dots(side, points, radius=max(3, side / 60))[:height, :width]
    boxes = np.column_stack([points - 25 + 0.5, points + 25 + 0.5])
    augmentation = FrameAugmentation(FrameConfig(focus=0, scale_min=0.6, scale_max=1.2, shift=0.05), 320)
    moved = augmentation(image, boxes, seed)
    assert moved.flipped == (np.linalg.det(moved.matrix[:, :2]) < 0)
    expected = crops.apply(moved.matrix, points)
    for number, channel in enumerate(moved.kept):
        if (abs(expected[channel] - 159.5) < 140).all():
            np.testing.assert_allclose(centroid(moved.image, channel), expected[channel], atol=0.3)
            box = moved.boxes_xyxy[number].reshape(2, 2)
            if (box > 0).all() and (box < 320).all():
                np.testing.assert_allclose(box.mean(axis=0), expected[channel] + 0.5, atol=1e-3)


def test_boxes_that_leave_the_frame_are_clipped_or_dropped() -> None:
    """Scaled by exactly 2 about the middle, the 100 px frame shows its middle 50 px."""
    twice = FrameAugmentation(FrameConfig(flip=0, focus=0, scale_min=2, scale_max=2, shift=-0.5), 100)
    boxes = np.array([[40, 40, 60, 60], [0, 0, 30, 30], [15, 40, 35, 60], [21, 40, 41, 60], [0, 0, 100, 100]])
    moved = twice(np.zeros((100, 100, 3), np.uint8), boxes, seed=0)
    assert moved.kept.tolist() == [0, 2, 3]  # hidden: 0, 1 - 25/900, .5, .2, .75 of the area
    np.testing.assert_allclose(
        moved.boxes_xyxy, [[30, 30, 70, 70], [0, 30, 20, 70], [0, 30, 32, 70]], atol=1e-4
    )


def test_photometry_leaves_the_padding_grey() -> None:
    """Where the frame's pixel centres do not reach, the view must look as at inference."""
    augmentation = FrameAugmentation(FrameConfig(scale_min=0.5, scale_max=0.9), 96, PhotometryConfig())
    image = np.full((60, 80, 3), 250, np.uint8)
    for seed in range(30):
        moved = augmentation(image, np.zeros((0, 4)), seed)
        covered = crops.crop(np.zeros_like(image), moved.matrix, 96)[..., 0] != crops.GREY
        grown = np.pad(covered, 1)
        near = grown[2:, 1:-1] | grown[:-2, 1:-1] | grown[1:-1, 2:] | grown[1:-1, :-2] | covered
        assert (moved.image[~near] == crops.GREY).all()
        assert (moved.image[covered] != crops.GREY).mean() > 0.5


@pytest.mark.parametrize("out_px", [128, 320])
def test_focus_shows_an_ear_whole_at_a_size_drawn_anew(out_px: int) -> None:
    """Sides between ear_min_px and ear_max of the view, and no more than three times the letterbox's."""
    augmentation = FrameAugmentation(FrameConfig(focus=1), 320)
    image, ear = np.zeros((480, 640, 3), np.uint8), np.array([[500, 300, 536, 360]])  # 30 px of 320
    sides, centres, matrices = [], [], []
    for seed in range(200):
        moved = augmentation(image, ear, seed, out_px)
        assert moved.image.shape == (out_px, out_px, 3)
        np.testing.assert_allclose(moved.boxes_xyxy, crops.apply_to_boxes(moved.matrix, ear), atol=1e-3)
        sides.append((moved.boxes_xyxy[0, 2:] - moved.boxes_xyxy[0, :2]).max())
        centres.append(moved.boxes_xyxy[0].reshape(2, 2).mean(axis=0) / out_px)
        matrices.append(moved.matrix)
    assert 10 <= min(sides) < 13
    assert 75 < max(sides) <= 90
    assert np.std(centres, axis=0).min() > 0.1
    assert {bool(np.linalg.det(matrix[:, :2]) < 0) for matrix in matrices} == {True, False}


def test_most_steps_see_chips_and_the_others_the_letterbox() -> None:
    sides = [FrameAugmentation(FrameConfig(chips=0.8), 320).side_px(seed) for seed in range(500)]
    assert set(sides) == {128, 320}
    assert 0.75 < np.mean(np.array(sides) == 128) < 0.85
    assert FrameAugmentation(FrameConfig(chips=0), 320).side_px(0) == 320


def test_frames_without_ears_stay_without() -> None:
    moved = FrameAugmentation(FrameConfig(), 64, PhotometryConfig())(photograph(), np.zeros((0, 4)), 1)
    assert moved.boxes_xyxy.shape == (0, 4)
    assert moved.kept.shape == (0,)
    assert moved.image.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (GeometryConfig, {"flip": 2}, "flip is a probability"),
        (GeometryConfig, {"scale": 0.9}, "must be below 0.9"),
        (GeometryConfig, {"rotate_deg": -1}, "geometry: rotate_deg is -1"),
        (PhotometryConfig, {"noise": float("nan")}, "photometry: noise is nan"),
        (FrameConfig, {"scale_min": 0}, "0 < scale_min"),
        (FrameConfig, {"focus": 1.5}, "frame: focus is a share"),
        (FrameConfig, {"chip_px": 100}, "chip_px is 100, must be a multiple of 32"),
        (FrameConfig, {"ear_min_px": 120}, "ear_min_px is 120"),
    ],
)
def test_impossible_settings_are_refused(config: type, values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        config(**values)
