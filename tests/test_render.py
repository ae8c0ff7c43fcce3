"""The renderer: labels that sit where the anatomy is drawn, identities, seeds, scenes and the command."""

import numpy as np
import pytest

from configs.build import configured
from configs.errors import UserError
from data.landmarks import load_scheme
from data.manifest import read_manifest
from data.render.__main__ import Config, main
from data.render.dress.placing import lift, place_ear, visible
from data.render.ear.anatomy import draw_anatomy
from data.render.ear.camera import Camera, pose
from data.render.ear.relief import raise_relief
from data.render.head.identity import draw_identity
from data.render.orders import identity_seed
from data.render.paint.curves import arc_length, at_fraction, spline
from data.render.paint.light import draw_light
from data.render.scene.photograph import render_ear
from data.render.scene.scene import render_scene


@pytest.fixture(scope="module")
def ears():
    return [render_ear(seed, 0, 64) for seed in range(120)]


def towards_right(points: np.ndarray) -> np.ndarray:
    """Points (17, 2), mirrored where needed, so that the face lies right."""
    return points * (-1, 1) if points[7, 0] < points[3, 0] else points


def test_spline_runs_through_its_controls():
    controls = np.random.default_rng(0).uniform(0, 1, (6, 2))
    np.testing.assert_allclose(spline(controls)[::10], controls, atol=1e-12)
    np.testing.assert_allclose(spline(controls, closed=True)[::10], controls, atol=1e-12)


def test_fractions_of_a_bent_line_by_hand():
    curve = np.array([(0, 0), (3, 0), (3, 1)])
    np.testing.assert_allclose(at_fraction(curve, [0, 0.5, 0.75, 1]), [(0, 0), (2, 0), (3, 0), (3, 1)])


def test_a_yawed_camera_foreshortens_and_shows_depth():
    camera = Camera(pose(np.pi / 3, 0, 0), 10.0, np.zeros(3), np.array([5.0, 7.0]))
    x_unit, y_unit, z_unit = camera.project(np.eye(3))
    np.testing.assert_allclose(x_unit, (5 + 10 * 0.5, 7), atol=1e-9)
    np.testing.assert_allclose(y_unit, (5, 17), atol=1e-9)
    np.testing.assert_allclose(z_unit, (5 - 10 * np.sqrt(0.75), 7), atol=1e-9)


@pytest.mark.parametrize("yaw", [-0.4, 0.0, 0.5])
def test_landmarks_lie_where_the_picture_shows_their_place_of_the_anatomy(yaw):
    """Projecting a landmark and asking the warp what is seen there gives the landmark back."""
    import cv2

    anatomy = draw_anatomy(np.random.default_rng(3))
    relief = raise_relief(anatomy, 200.0)
    depth = cv2.GaussianBlur(relief.height, (0, 0), 0.03 * relief.scale)
    camera = Camera(pose(yaw, 0.1, -0.2), 100.0, np.array([0.3, 0.5, 0.08]), np.array([90.0, 90.0]))
    points = camera.project(lift(anatomy.landmarks, relief, depth))
    maps = camera.canvas_maps(relief, depth, camera.plane_grid((180, 180)))
    seen = [cv2.remap(m, *points.astype(np.float32).T[..., None], cv2.INTER_LINEAR).ravel() for m in maps]
    error_px = (
        np.hypot(*(np.stack(seen, 1) - relief.to_px(anatomy.landmarks)).T) * camera.scale / relief.scale
    )
    assert error_px.max() < 1.0


def test_landmarks_lie_on_the_anatomy_they_are_named_after():
    for seed in range(20):
        anatomy = draw_anatomy(np.random.default_rng(seed))
        for curve, indices in {"rim": range(8), "inner": (8, 9, 10), "bowl": range(11, 17)}.items():
            for index in indices:
                gap = np.hypot(*(anatomy.curves[curve] - anatomy.landmarks[index]).T).min()
                assert gap < 0.02, (seed, curve, index)


def test_the_other_habit_sets_the_same_ear_s_points_where_its_shape_has_its_extremes():
    for seed in range(20):
        usual = draw_anatomy(np.random.default_rng(seed))
        other = draw_anatomy(np.random.default_rng(seed), "shape")
        rim = usual.curves["rim"]
        np.testing.assert_array_equal(rim, other.curves["rim"])
        assert other.landmarks[1, 1] == pytest.approx(rim[:, 1].min(), abs=1e-9)
        assert other.landmarks[3, 0] == pytest.approx(rim[:, 0].min(), abs=1e-9)
        assert other.landmarks[6, 1] == pytest.approx(rim[:, 1].max(), abs=1e-9)
        np.testing.assert_allclose(other.landmarks[[11, 13]], usual.landmarks[[11, 13]])
        ends = np.hypot(*(other.landmarks - usual.landmarks)[[0, 7, 8, 10, 16]].T)
        assert (ends > 0.01).all(), "the curves end elsewhere"
        along = [arc_length(rim)[np.hypot(*(rim - point).T).argmin()] for point in other.landmarks[:8]]
        assert (np.diff(along) >= 0).all(), "the order along the rim stays"


def test_the_box_is_the_extent_of_the_ear_in_the_picture():
    """Oracle: paint the ear on black, where it is free of the face, and measure what is not black."""
    identity = draw_identity(5)
    rng = np.random.default_rng(0)
    camera = Camera(pose(0.2, 0, 0), 130.0, np.array([0.3, 0.5, 0.08]), np.array([110.0, 110.0]))
    black = np.zeros((220, 220, 3), np.float32)
    placed = place_ear(rng, black, camera.plane_grid((220, 220)), identity, draw_light(rng), camera)
    box = placed.box_xyxy
    rows, columns = np.nonzero(placed.image.sum(axis=2) > 0.02)
    assert abs(columns.min() - box[0]) < 2
    assert abs(rows.min() - box[1]) < 2
    assert abs(rows.max() + 1 - box[3]) < 2


def test_an_ear_comes_out_in_the_promised_form():
    ear = render_ear(1, 2, 96)
    assert ear.image.shape == (96, 96, 3)
    assert ear.image.dtype == np.uint8
    assert ear.box_xyxy.shape == (4,)
    assert ear.box_xyxy.dtype == ear.landmarks.dtype == np.float32
    assert ear.landmarks.shape == (17, 2)
    assert ear.visibility.dtype == np.uint8


def test_points_lie_in_the_box_and_boxes_in_the_picture(ears):
    for ear in ears:
        left, top, right, bottom = ear.box_xyxy
        assert left > -4
        assert top > -4
        assert right < 68
        assert bottom < 68
        x, y = ear.landmarks.T + 0.5
        assert x.min() > left - 1
        assert x.max() < right + 1
        assert y.min() > top - 1
        assert y.max() < bottom + 1
    assert np.mean([(ear.visibility == 2).mean() for ear in ears]) > 0.9


def test_mean_shape_and_ratio_agree_with_annotated_ears(ears):
    """landmarks.md: mean of 41 in-the-wild ears, width over height 0.61 +- 0.18."""
    points = np.stack([towards_right(ear.landmarks) for ear in ears])
    low, extent = points.min(axis=1), np.ptp(points, axis=1)
    unit = (points - low[:, None]) / extent[:, None]
    assert np.abs(unit.mean(axis=0) - load_scheme().mean_shape_unit).max() < 0.08
    ratio = extent[:, 0] / extent[:, 1]
    assert abs(ratio.mean() - 0.61) < 0.05
    assert 0.09 < ratio.std() < 0.2
    spread = unit.std(axis=0)
    assert 0.02 < np.median(spread) < 0.12


def test_the_face_lies_right_or_left(ears):
    right = np.mean([ear.landmarks[7, 0] > ear.landmarks[3, 0] for ear in ears])
    assert 0.35 < right < 0.65


def test_seeds_decide_everything():
    first, again, other = render_ear(4, 1, 64), render_ear(4, 1, 64), render_ear(4, 2, 64)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.landmarks, again.landmarks)
    assert np.abs(first.image.astype(int) - other.image).mean() > 2


def test_an_identity_keeps_anatomy_and_skin_and_differs_from_others():
    first, again, other = draw_identity(7), draw_identity(7), draw_identity(8)
    np.testing.assert_array_equal(first.anatomy.landmarks, again.anatomy.landmarks)
    np.testing.assert_array_equal(first.skin.albedo, again.skin.albedo)
    assert np.abs(first.anatomy.landmarks - other.anatomy.landmarks).max() > 0.01
    splits = {identity_seed(3, split, number) for split in ("train", "val", "test") for number in range(50)}
    assert len(splits) == 150


def test_visibility_follows_the_cover():
    cover = np.zeros((40, 40), np.float32)
    cover[:, :20] = 1
    points = np.array([(5.0, 5.0), (35.0, 5.0), (-3.0, 5.0), (35.0, 41.0)])
    assert visible(cover, points).tolist() == [1, 2, 0, 0]


def test_scenes_hold_none_to_three_ears_of_the_promised_size():
    scenes = [render_scene(seed, image_px=(120, 160)) for seed in range(40)]
    counts = np.array([len(scene.boxes_xyxy) for scene in scenes])
    assert set(counts) == {0, 1, 2, 3}
    assert 0.08 < (counts == 0).mean() < 0.35
    for scene in scenes:
        rows, columns, _ = scene.image.shape
        assert rows == 120
        assert 64 <= columns <= 160
        assert scene.landmarks.shape == (len(scene.boxes_xyxy), 17, 2)
        assert scene.visibility.shape == scene.landmarks.shape[:2]
        heights = (scene.boxes_xyxy[:, 3] - scene.boxes_xyxy[:, 1]) / 120
        assert ((heights > 0.03) & (heights < 0.65)).all()
        assert (scene.boxes_xyxy >= 0).all()
        assert (scene.boxes_xyxy <= (columns, rows, columns, rows)).all()
    wide = np.mean([scene.image.shape[1] == 160 for scene in scenes])
    assert 0.3 < wide < 0.9


def test_scenes_of_any_frame_and_given_people():
    portrait = render_scene(2, [1, 2], (200, 100))
    assert portrait.image.shape[0] == 200
    assert portrait.image.shape[1] <= 100
    np.testing.assert_array_equal(portrait.image, render_scene(2, [1, 2], (200, 100)).image)


def _config(folder, **changes):
    counts = {"ears": 9, "val_ears": 3, "test_ears": 3, "scenes": 3, "val_scenes": 2, "test_scenes": 2}
    options = {**counts, "image_px": 64, "scene_px": (96, 128), "num_workers": 0, **changes}
    return configured(Config, output_dir=folder, **options)


def test_the_command_writes_manifests_that_keep_identities_apart(tmp_path):
    folder = main(_config(tmp_path / "data"))
    sources = {}
    for split, count in (("train", 9), ("val", 3), ("test", 3)):
        manifest = read_manifest(folder / f"{split}_labelled.npy")
        assert len(manifest.image_paths) == count
        assert manifest.landmarks.shape == (count, 17, 2)
        assert len(read_manifest(folder / f"{split}_teacher.npy").image_paths) == count
        sources[split] = set(manifest.sources)
        read_manifest(folder / f"{split}_frames.npy")
    assert len(sources["train"]) == 3
    assert not sources["train"] & sources["val"]
    assert not sources["val"] & sources["test"]
    frames = read_manifest(folder / "train_frames.npy")
    assert len(set(frames.image_paths) | set(frames.empty_images)) == 3
    assert (folder / "grid.png").stat().st_size > 1000
    assert (folder / "scenes.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(tmp_path):
    alone, together = main(_config(tmp_path / "a")), main(_config(tmp_path / "b", num_workers=2))
    images = sorted(path.relative_to(alone) for path in alone.rglob("*.jpg"))
    assert len(images) == 22
    for name in images:
        assert (alone / name).read_bytes() == (together / name).read_bytes(), name
    assert (alone / "train_labelled.npy").read_bytes() == (together / "train_labelled.npy").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_px": 20}, "image_px is 20; give a whole number from 64 to 1024"),
        ({"ears": -1}, "ears is -1"),
        ({"photos_per_identity": 1}, "photos_per_identity is 3 for good now"),
        ({"scene_px": (10, 640)}, "scene_px is"),
        ({"turned": 1.2}, "turned is 1.2; give a share"),
        ({"yaw_max": 1.6}, "yaw_max is 1.6; give radians from 0.7 to 1.5"),
        (
            dict.fromkeys(("ears", "val_ears", "test_ears", "scenes", "val_scenes", "test_scenes"), 0),
            "nothing to",
        ),
    ],
)
def test_settings_that_cannot_be_rendered_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        main(_config(tmp_path / "data", **changes))
    assert not (tmp_path / "data").exists()
