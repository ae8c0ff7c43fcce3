"""Rendered people: what faces and things over the ear do to the picture and to the labels."""

from dataclasses import replace

import numpy as np
import pytest

from data.render.dress.dressing import dress_ear
from data.render.dress.placing import place_ear
from data.render.ear.camera import Camera, pose
from data.render.head.face_map import EYE, FaceMap, draw_looks
from data.render.head.faces import draw_face
from data.render.head.hands import draw_hand
from data.render.head.head_plan import draw_plan
from data.render.head.identity import draw_identity
from data.render.head.outfit import Outfit, draw_outfit
from data.render.paint.brush import Brush
from data.render.paint.light import draw_light
from data.render.scene.framing import (
    BOTH_FRONT,
    Stand,
    stand_in_scene,
    stand_in_window,
    window_shape,
)
from data.render.scene.people import add_person
from data.render.scene.photograph import render_ear
from data.render.scene.yaw import USUAL, YawRange

GREEN = np.array([0.0, 0.9, 0.0])


def placed_ear(seed: int, yaw: float):
    """An ear 120 px high on grey, of a bald person without earrings; with its identity, light and camera."""
    identity = draw_identity(seed)
    identity = replace(identity, hair=replace(identity.hair, style="bald"), earring=False)
    rng = np.random.default_rng(seed)
    light = draw_light(rng)
    light = replace(light, colour=np.ones(3, np.float32), behind=0.0)
    camera = Camera(pose(yaw, 0, 0), 120.0, np.array([0.3, 0.5, 0.08]), np.array([110.0, 110.0]))
    grey = np.full((220, 220, 3), 0.3, np.float32)
    placed = place_ear(rng, grey, camera.plane_grid((220, 220)), identity, light, camera)
    return placed, identity, light, camera


def test_a_brush_fills_what_is_inside_and_collects_its_cover():
    image = np.zeros((20, 20, 4), np.float32)
    square = np.array([(4.0, 4.0), (12.0, 4.0), (12.0, 12.0), (4.0, 12.0)])
    brush = Brush(image)
    brush.fill(square, (0.5, 0.2, 0.1))
    np.testing.assert_allclose(image[8, 8], (0.5, 0.2, 0.1, 1), atol=1e-6)
    np.testing.assert_array_equal(image[16, 16], 0)
    brush.fill(square, (0.5, 1.0, 1.0), tint=True)
    np.testing.assert_allclose(image[8, 8], (0.25, 0.2, 0.1, 1), atol=1e-6)


def test_a_brush_stays_in_the_picture_and_in_its_fence():
    image = np.zeros((10, 10, 3), np.float32)
    big = np.array([(-50.0, -50.0), (50.0, -50.0), (50.0, 50.0), (-50.0, 50.0)])
    left = np.array([(-1.0, -1.0), (4.0, -1.0), (4.0, 11.0), (-1.0, 11.0)])
    Brush(image).fill(big, 1.0, within=left)
    assert image[:, :4].min() == 1
    assert image[:, 6:].max() == 0
    Brush(image).stroke(big + 500, 1.0, 3)


def test_eyes_lie_symmetric_in_a_full_face_and_one_is_hidden_in_profile():
    centre, radii = np.array([100.0, 100.0]), np.array([60.0, 80.0])
    full = FaceMap(centre, radii, 40.0, 0.0, 110.0)
    left, right = full.to_px([-EYE[0], EYE[0]], EYE[1])
    assert left[0] + right[0] == pytest.approx(200)
    assert left[1] == right[1] == pytest.approx(110 - 8)
    profile = FaceMap(centre, radii, 40.0, np.pi / 2, 110.0)
    assert profile.shows(-EYE[0])
    assert not profile.shows(EYE[0])
    # Seen from the side, the middle of the face is the outline: at the head's middle row, one radius out.
    np.testing.assert_allclose(profile.to_px(0.0, -0.25), [(160.0, 100.0)], atol=1e-6)


def test_a_face_darkens_its_pupils_and_leaves_the_forehead():
    skin = np.full((240, 240, 3), 0.5, np.float32)
    face = FaceMap(np.array([120.0, 120.0]), np.array([80.0, 110.0]), 60.0, 0.0, 140.0)
    looks = replace(
        draw_looks(np.random.default_rng(0), False), gaze=(0.0, 0.0), eye_open=0.1, age=0.0, makeup=0.0
    )
    draw_face(np.random.default_rng(0), skin, face, looks, np.full(3, 0.02))
    for side in (-1, 1):
        column, row = np.round(face.to_px(side * EYE[0], EYE[1], 0.97)[0]).astype(int)
        assert skin[row, column].max() < 0.1
    np.testing.assert_allclose(skin[40, 120], 0.5)


@pytest.mark.parametrize("turn", np.linspace(-0.6, 2.2, 8))
def test_faces_and_hands_are_finite_from_every_side(turn):
    rng = np.random.default_rng(1)
    skin = np.full((80, 80, 3), 0.4, np.float32)
    face = FaceMap(np.array([40.0, 40.0]), np.array([25.0, 30.0]), 18.0, turn, 45.0)
    draw_face(rng, skin, face, draw_looks(rng, True), np.full(3, 0.02))
    draw_hand(rng, Brush(skin), np.array([40.0, 70.0]), 40.0, turn, np.full(3, 0.4), draw_light(rng))
    assert np.isfinite(skin).all()
    assert skin.min() > -1e-3


def test_points_under_a_hat_are_covered_and_all_others_seen():
    """Oracle: the hat is green, so the picture itself says where it lies."""
    hidden = []
    for seed in range(12):
        placed, identity, light, camera = placed_ear(3, 0.0)
        outfit = Outfit(False, "hat", GREEN, seed)
        plan = draw_plan(np.random.default_rng(0), 0.0)
        dressed = dress_ear(np.random.default_rng(0), placed, outfit, identity, plan, light, camera)
        column, row = np.round(placed.points).astype(int).T
        green = dressed.image[row, column]
        is_hat = green[:, 1] > 4 * np.maximum(green[:, 0], green[:, 2])
        near_edge = np.array(
            [np.ptp(dressed.image[r - 3 : r + 4, c - 3 : c + 4, 0]) > 0.1 for r, c in zip(row, column)]
        )
        agree = (dressed.visibility == 1) == is_hat
        assert (agree | near_edge).all(), seed
        hidden.append((dressed.visibility == 1).sum())
        np.testing.assert_array_equal(dressed.points, placed.points)
        np.testing.assert_array_equal(dressed.box_xyxy, placed.box_xyxy)
    assert max(hidden) > 2
    assert min(hidden) == 0


def test_what_leaves_the_ear_free_leaves_its_labels_alone():
    placed, identity, light, camera = placed_ear(3, 0.0)
    nothing = Outfit(False, "nothing", GREEN, 0)
    plan = draw_plan(np.random.default_rng(0), 0.0)
    dressed = dress_ear(np.random.default_rng(0), placed, nothing, identity, plan, light, camera)
    np.testing.assert_array_equal(dressed.image, placed.image)
    np.testing.assert_array_equal(dressed.visibility, placed.visibility)


@pytest.mark.parametrize("kind", ["earbud", "hearing_aid", "mask", "scarf", "fingers", "piercings"])
def test_everything_worn_changes_the_picture_and_only_takes_from_what_is_seen(kind):
    placed, identity, light, camera = placed_ear(4, 0.2)
    outfit = Outfit(True, kind, GREEN, 5)
    plan = draw_plan(np.random.default_rng(0), 0.2)
    dressed = dress_ear(np.random.default_rng(0), placed, outfit, identity, plan, light, camera)
    assert np.abs(dressed.image - placed.image).max() > 0.05
    assert (dressed.visibility <= placed.visibility).all()
    assert np.isfinite(dressed.image).all()


def test_a_turned_ear_hides_points_behind_its_own_folds_and_a_side_view_none():
    side = np.array([(placed_ear(seed, 0.2)[0].visibility == 2).mean() for seed in range(6)])
    turned = np.array([placed_ear(seed, 1.25)[0].visibility for seed in range(6)])
    assert side.min() == 1
    assert (turned == 1).any()
    assert (turned[:, 13] == 2).all()  # the notch below the tragus stays open to the front
    assert (turned == 0).sum() == 0


def test_an_outfit_draws_the_same_details_wherever_it_is_drawn():
    outfit = draw_outfit(np.random.default_rng(3))
    assert outfit.rng().uniform() == outfit.rng().uniform()
    kinds = [draw_outfit(np.random.default_rng(seed)).over_ear for seed in range(300)]
    assert 0.6 < np.mean([kind == "nothing" for kind in kinds]) < 0.8
    assert len(set(kinds)) == 8


def test_windows_hold_an_ear_of_the_promised_size_and_earless_ones_keep_it_outside():
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows, columns = shape = window_shape(rng, (240, 320))
        assert rows == 240
        assert columns <= 320
        stand = stand_in_window(rng, shape, False, USUAL)
        assert 1.8 <= rows / stand.height_px <= 3.3
        assert 0 < stand.ear_px[0] < columns
        outside = stand_in_window(rng, shape, True, USUAL)
        assert outside.ear_px[0] <= -0.6 * outside.height_px
        far = outside.ear_px[0] + 2 * outside.plan.centre[0] * outside.height_px
        assert outside.plan.front <= BOTH_FRONT or far > columns + 0.4 * outside.height_px


def test_nobody_stands_before_an_ear_that_is_labelled():
    rng = np.random.default_rng(0)
    everything = np.array([0.0, 0.0, 320.0, 240.0])
    assert stand_in_scene(rng, (240, 320), [everything], USUAL) is None


def test_an_ear_that_is_hardly_seen_is_not_labelled():
    rng = np.random.default_rng(0)
    identity, light = draw_identity(2), draw_light(rng)
    picture = np.full((160, 160, 3), 0.3, np.float32)
    plan = draw_plan(rng, 0.1)
    inside = Stand(0.1, plan, np.array([80.0, 80.0]), 60.0, False)
    cut_off = Stand(0.1, plan, np.array([-15.0, 80.0]), 60.0, False)
    assert len(add_person(rng, picture, identity, light, inside, 1)[1]) == 1
    assert add_person(rng, picture, identity, light, inside, 1, hide=True)[1] == []
    assert add_person(rng, picture, identity, light, cut_off, 1)[1] == []


def test_a_person_changes_nothing_where_other_ears_may_be():
    """Not even arms and cables leave the part of the scene that was checked for other ears."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        picture = np.full((160, 320, 3), 0.3, np.float32)
        plan = draw_plan(rng, 0.1)
        stand = Stand(0.1, plan, np.array([150.0, 60.0]), 22.0, seed % 2 == 1)
        after, _ = add_person(rng, picture, draw_identity(seed), draw_light(rng), stand, 1)
        if stand.flipped:
            after = after[:, ::-1]
        top, _, left, right = plan.reach_px(stand.ear_px, 22.0, (160, 320))
        np.testing.assert_array_equal(after[:top], picture[:top])
        np.testing.assert_array_equal(after[:, :left], picture[:, :left])
        np.testing.assert_array_equal(after[:, right:], picture[:, right:])
        assert np.abs(after - picture).max() > 0.1


def test_the_share_of_turned_ears_is_the_users():
    def narrowness(turned, yaw_max=USUAL.yaw_max):
        yaws = YawRange(turned, yaw_max)
        boxes = np.array([render_ear(seed, 0, 64, yaws).box_xyxy for seed in range(40)])
        sides = boxes[:, 2:] - boxes[:, :2]
        return (sides[:, 0] / sides[:, 1]).mean()

    assert narrowness(1.0) < 0.9 * narrowness(0.0)
    assert narrowness(1.0, yaw_max=1.5) < 0.95 * narrowness(1.0)
