"""One person set into a scene, with the ears that are to be seen and their labels."""

from dataclasses import dataclass, replace

import numpy as np

from data.manifest import HIDDEN, NOT_ANNOTATED, VISIBLE
from data.render.dress.devices import wear_headphones
from data.render.dress.dressing import dress_ear
from data.render.dress.placing import PlacedEar, place_ear
from data.render.ear.camera import Camera, pose
from data.render.head.hands import draw_hand
from data.render.head.head_plan import HeadPlan
from data.render.head.identity import Identity
from data.render.head.outfit import Outfit, draw_outfit
from data.render.head.person import paint_person
from data.render.paint.brush import Brush
from data.render.paint.light import Light
from data.render.scene.framing import BOTH_FRONT, Stand, mirrored_box

# An ear of which less than this share of points is seen is no ear to be found.
_SEEN = 0.25
# Share of full faces that show both ears where there is room.
_BOTH = 0.8
# Shares of people with a hand at the face, and of hidden ears that are under headphones instead of hair.
_HAND, _HEADPHONES = 0.22, 0.3


@dataclass(frozen=True)
class SeenEar:
    """box_xyxy (4,) px edges within the scene, points (17, 2) px, visibility (17,)."""

    box_xyxy: np.ndarray
    points: np.ndarray
    visibility: np.ndarray


def add_person(
    rng: np.random.Generator,
    image: np.ndarray,
    identity: Identity,
    light: Light,
    stand: Stand,
    ears: int,
    hide: bool = False,
) -> tuple[np.ndarray, list[SeenEar]]:
    """The scene with a person and up to `ears` seen ears; `hide` puts the ear under hair or headphones."""
    columns, plan = image.shape[1], stand.plan
    outfit = draw_outfit(rng)
    before = image[:, ::-1] if stand.flipped else image
    canvas = before.copy()
    camera = _camera(rng, identity, stand)
    top, bottom, left, right = plan.reach_px(stand.ear_px, stand.height_px, image.shape[:2])
    if right > left and bottom > top:
        moved = replace(camera, offset=camera.offset - (left, top))
        under_hair = hide and rng.random() > _HEADPHONES
        window = paint_person(
            rng, canvas[top:bottom, left:right], plan, identity, light, moved, outfit, under_hair
        )
        canvas[top:bottom, left:right] = window
        if hide and not under_hair:
            wear_headphones(rng, Brush(canvas), camera.scale, stand.ear_px, light)
    if rng.random() < _HAND:
        _raise_hand(rng, canvas, identity, light, stand)
    found = []
    if ears and not hide:
        canvas, ear = _add_ear(rng, canvas, identity, plan, outfit, light, camera)
        found.append(ear)
        if plan.front > BOTH_FRONT and ears > 1 and rng.random() < _BOTH:
            across = 2 * plan.centre[0] * camera.scale
            other = replace(camera, offset=camera.offset + (across, rng.normal(0, 0.04) * camera.scale))
            canvas, ear = _add_far_ear(rng, canvas, identity, plan, outfit, light, other)
            found += [] if ear is None else [ear]
    found = [ear for ear in found if (ear.visibility == VISIBLE).mean() >= _SEEN]
    # Arms and cables may lead further than `stand_in_scene` looked for other people's ears: they end there.
    outside = np.ones(canvas.shape[:2], bool)
    outside[top:bottom, left:right] = False
    canvas[outside] = before[outside]
    if stand.flipped:
        canvas = canvas[:, ::-1]
        found = [_mirrored(ear, columns) for ear in found]
    return np.ascontiguousarray(canvas), found


def _camera(rng: np.random.Generator, identity: Identity, stand: Stand) -> Camera:
    rotation = pose(stand.yaw, rng.normal(0, 0.12), rng.normal(0, 0.15))
    outline = identity.anatomy.outline
    middle = np.append((outline.max(axis=0) + outline.min(axis=0)) / 2, 0.08)
    return Camera(rotation, stand.height_px, middle, stand.ear_px)


def _raise_hand(
    rng: np.random.Generator, canvas: np.ndarray, identity: Identity, light: Light, stand: Stand
) -> None:
    """A hand whose fingers lie on cheek, chin, mouth or brow, away from the ear; in place."""
    unit, plan = stand.height_px, stand.plan
    front = plan.centre[0] + plan.radii[0] * rng.uniform(0.2, 1.0)
    tip = stand.ear_px + unit * np.array([max(front, 1.0), rng.uniform(-0.7, 1.6)])
    angle, length = rng.normal(-0.25, 0.35), rng.uniform(2.5, 3.1) * unit
    wrist = tip + length * rng.uniform(0.6, 1.0) * np.array([-np.sin(angle), np.cos(angle)])
    draw_hand(rng, Brush(canvas), wrist, length, angle, identity.skin.albedo, light)


def _add_ear(
    rng: np.random.Generator,
    canvas: np.ndarray,
    identity: Identity,
    plan: HeadPlan,
    outfit: Outfit,
    light: Light,
    camera: Camera,
) -> tuple[np.ndarray, SeenEar]:
    """The scene with the ear at the camera's offset, painted in a window round it, and dressed."""
    rows, columns = canvas.shape[:2]
    reach = 1.15 * camera.scale + 4
    left, top = np.maximum(camera.offset - reach, 0).astype(int)
    right, bottom = np.minimum(np.ceil(camera.offset + reach), (columns, rows)).astype(int)
    moved = replace(camera, offset=camera.offset - (left, top))
    window = canvas[top:bottom, left:right]
    plane = moved.plane_grid(window.shape[:2])
    placed = place_ear(rng, window, plane, identity, light, moved, window=True)
    canvas[top:bottom, left:right] = placed.image
    shift = np.array([left, top])
    box = np.clip(placed.box_xyxy + np.tile(shift, 2), 0, [columns, rows, columns, rows])
    inside = _inside(placed.points + shift, rows, columns)
    seen = np.where(inside, np.maximum(placed.visibility, HIDDEN), NOT_ANNOTATED)
    placed = PlacedEar(canvas, box, placed.points + shift, seen)
    placed = dress_ear(rng, placed, outfit, identity, plan, light, camera)
    return placed.image, SeenEar(box, placed.points, placed.visibility)


def _inside(points: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return ((points > -0.5) & (points < (columns - 0.5, rows - 0.5))).all(axis=1)


def _add_far_ear(
    rng, canvas, identity: Identity, plan: HeadPlan, outfit: Outfit, light: Light, camera: Camera
) -> tuple[np.ndarray, SeenEar | None]:
    """The other ear of a full face: the same ear mirrored, if it lies inside the scene."""
    rows, columns = canvas.shape[:2]
    if not camera.scale * 0.6 < camera.offset[0] < columns - camera.scale * 0.6:
        return canvas, None
    turned = replace(light, direction=light.direction * (-1, 1, 1))
    mirrored = replace(camera, offset=np.array([columns - 1 - camera.offset[0], camera.offset[1]]))
    canvas, ear = _add_ear(
        rng, np.ascontiguousarray(canvas[:, ::-1]), identity, plan, outfit, turned, mirrored
    )
    return np.ascontiguousarray(canvas[:, ::-1]), _mirrored(ear, columns)


def _mirrored(ear: SeenEar, columns: int) -> SeenEar:
    points = ear.points.copy()
    points[:, 0] = columns - 1 - points[:, 0]
    return replace(ear, box_xyxy=mirrored_box(ear.box_xyxy, columns), points=points)
