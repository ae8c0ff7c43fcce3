"""A scene for the detector: people with 0 to 3 ears to be seen, in front of clutter."""

from dataclasses import dataclass, replace

import numpy as np

from data.render.camera import Camera, expose, pose
from data.render.clutter import paint_clutter
from data.render.dressing import dress_ear
from data.render.heads import HeadPlan, draw_plan, paint_person
from data.render.identity import Identity, draw_identity
from data.render.outfit import Outfit, draw_outfit
from data.render.placing import PlacedEar, place_ear
from data.render.skin import Light, draw_light

# Ear heights as fractions of the frame's height.
SMALLEST, LARGEST = 0.04, 0.60


@dataclass(frozen=True)
class RenderedScene:
    """A picture with N ears, N from 0 to 3.

    image (H, W, 3) uint8 RGB; boxes_xyxy (N, 4) float32 px (edges); landmarks (N, 17, 2) float32 px;
    visibility (N, 17) uint8: 2 seen, 1 covered, 0 outside.
    """

    image: np.ndarray
    boxes_xyxy: np.ndarray
    landmarks: np.ndarray
    visibility: np.ndarray


def render_scene(
    seed: int, identities: list[int] | None = None, image_px: tuple[int, int] = (480, 640)
) -> RenderedScene:
    """Scene `seed` of image_px (height, width); people are taken from `identities` (seeds) or its own."""
    rng = np.random.default_rng([seed, 3])
    light = draw_light(rng)
    image = paint_clutter(rng, image_px, light)
    wanted = int(rng.choice([0, 1, 2, 3], p=[0.2, 0.45, 0.22, 0.13]))
    people = list(identities) if identities else [(seed + 1) * 8 + index + 2**60 for index in range(6)]
    ears: list[_Ear] = []
    hidden = int(rng.integers(0, 3)) if wanted == 0 else int(rng.random() < 0.15)
    while hidden or wanted:
        hide = hidden > 0
        identity = draw_identity(people[int(rng.integers(len(people)))])
        image, found = _add_person(rng, image, identity, light, wanted, hide, ears)
        ears += found
        hidden -= hide
        wanted = 0 if not hide and not found else wanted - len(found)
    image = expose(image, rng, 0.8)
    count = len(ears)
    return RenderedScene(
        image,
        np.array([ear.box for ear in ears], np.float32).reshape(count, 4),
        np.array([ear.points for ear in ears], np.float32).reshape(count, 17, 2),
        np.array([ear.visibility for ear in ears], np.uint8).reshape(count, 17),
    )


@dataclass(frozen=True)
class _Ear:
    box: np.ndarray
    points: np.ndarray
    visibility: np.ndarray


def _add_person(
    rng: np.random.Generator,
    image: np.ndarray,
    identity: Identity,
    light: Light,
    wanted: int,
    hide: bool,
    ears: list[_Ear],
) -> tuple[np.ndarray, list[_Ear]]:
    """The scene with one more person and the ears it shows; no person where it would cover an ear."""
    rows, columns = image.shape[:2]
    for attempt in range(30):
        yaw = float(
            np.clip(rng.choice([rng.normal(0.1, 0.25), rng.uniform(0.4, 1.25)], p=[0.5, 0.5]), -0.45, 1.25)
        )
        plan = draw_plan(rng, yaw)
        largest = max(LARGEST * 0.9 * 0.92**attempt, SMALLEST * 1.2)  # where it is crowded, further away
        height = float(rows * np.exp(rng.uniform(np.log(SMALLEST * 1.1), np.log(largest))))
        margin = np.minimum(np.array([0.6, 0.7]) * height, np.array([columns, rows]) * 0.48)
        ear_px = rng.uniform(margin, np.array([columns, rows]) - 1 - margin)
        flipped = rng.random() < 0.5
        top, bottom, left, right = plan.reach_px(ear_px, height, (rows, columns))
        taken = [_mirrored(ear, columns) if flipped else ear for ear in ears]
        if not any(_meets(ear.box, left, top, right, bottom) for ear in taken):
            break
    else:
        return image, []
    outfit = draw_outfit(rng)
    rotation = pose(yaw, rng.normal(0, 0.12), rng.normal(0, 0.15))
    middle = np.append(
        (identity.anatomy.outline.max(axis=0) + identity.anatomy.outline.min(axis=0)) / 2, 0.08
    )
    canvas = image[:, ::-1] if flipped else image
    camera = Camera(rotation, height, middle, ear_px)
    canvas = canvas.copy()
    moved = replace(camera, offset=ear_px - (left, top))
    window = paint_person(rng, canvas[top:bottom, left:right], plan, identity, light, moved, outfit, hide)
    canvas[top:bottom, left:right] = window
    found = []
    if not hide:
        canvas, ear = _add_ear(rng, canvas, identity, plan, outfit, light, camera)
        found.append(ear)
        if plan.front > 0.7 and wanted > 1 and rng.random() < 0.8:
            other = np.array(
                [ear_px[0] + 2 * plan.centre[0] * height, ear_px[1] + rng.normal(0, 0.04) * height]
            )
            canvas, ear = _add_far_ear(
                rng, canvas, identity, plan, outfit, light, replace(camera, offset=other)
            )
            found += [] if ear is None else [ear]
    if flipped:
        canvas = canvas[:, ::-1]
        found = [_mirrored(ear, columns) for ear in found]
    return np.ascontiguousarray(canvas), found


def _add_ear(
    rng: np.random.Generator,
    canvas: np.ndarray,
    identity: Identity,
    plan: HeadPlan,
    outfit: Outfit,
    light: Light,
    camera: Camera,
) -> tuple[np.ndarray, _Ear]:
    """The scene with the ear at the camera's offset, painted in a window round it."""
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
    placed = PlacedEar(canvas, box, placed.points + shift, placed.visibility)
    placed = dress_ear(rng, placed, outfit, identity, plan, light, camera)
    return placed.image, _Ear(box, placed.points, placed.visibility)


def _add_far_ear(
    rng, canvas, identity: Identity, plan: HeadPlan, outfit: Outfit, light: Light, camera: Camera
) -> tuple[np.ndarray, _Ear | None]:
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


def _mirrored(ear: _Ear, columns: int) -> _Ear:
    box, points = ear.box.copy(), ear.points.copy()
    box[[0, 2]] = columns - box[[2, 0]]
    points[:, 0] = columns - 1 - points[:, 0]
    return replace(ear, box=box, points=points)


def _meets(box: np.ndarray, left: int, top: int, right: int, bottom: int) -> bool:
    grow = 0.15 * (box[2:] - box[:2])
    return bool(
        box[0] - grow[0] < right
        and box[2] + grow[0] > left
        and box[1] - grow[1] < bottom
        and box[3] + grow[1] > top
    )
