"""One photograph of one ear, with its box and landmarks."""

from dataclasses import dataclass

import numpy as np

from data.render.dress.dressing import dress_ear
from data.render.dress.placing import place_ear
from data.render.ear.anatomy import Anatomy
from data.render.ear.camera import Camera, pose
from data.render.ear.labelling import Habit
from data.render.factors import factors_of
from data.render.head.close_up import paint_close_up
from data.render.head.head_plan import draw_plan
from data.render.head.identity import draw_identity
from data.render.head.outfit import draw_outfit
from data.render.head.person import paint_person
from data.render.paint.background import background
from data.render.paint.exposure import expose
from data.render.paint.light import draw_light
from data.render.scene.yaw import USUAL, YawRange, draw_yaw

# Side views up to that `HeadPlan.front` are, in that share, close-ups of one cheek without a whole head.
_CLOSE_UP_FRONT, _CLOSE_UP = 0.3, 0.35


@dataclass(frozen=True)
class RenderedEar:
    """A picture of one ear.

    image (H, W, 3) uint8 RGB; box_xyxy (4,) float32 px, the extent of the ear's outline (edges: pixel i
    covers i to i + 1); landmarks (17, 2) float32 px (pixel centres at integers); visibility (17,) uint8:
    2 seen, 1 covered, 0 outside; factors: of what it was made (`factors_of`).
    """

    image: np.ndarray
    box_xyxy: np.ndarray
    landmarks: np.ndarray
    visibility: np.ndarray
    factors: dict[str, np.ndarray]


def render_ear(
    seed_identity: int,
    seed_photo: int,
    image_px: int = 192,
    yaws: YawRange = USUAL,
    habit: Habit = "fractions",
) -> RenderedEar:
    """Photograph `seed_photo` of ear `seed_identity`, a square; the face lies right or left by chance."""
    identity = draw_identity(seed_identity, habit)
    rng = np.random.default_rng([seed_identity, seed_photo, 2])
    light = draw_light(rng)
    yaw = draw_yaw(rng, yaws)
    camera = _draw_camera(rng, identity.anatomy, image_px, yaw)
    plan, outfit = draw_plan(rng, yaw), draw_outfit(rng)
    plane = camera.plane_grid((image_px, image_px))
    if plan.front < _CLOSE_UP_FRONT and rng.random() < _CLOSE_UP:
        image = paint_close_up(rng, plane, identity.skin, identity.hair, light, camera)
    else:
        image = background(rng, (image_px, image_px))
        image = paint_person(rng, image, plan, identity, light, camera, outfit)
    placed = place_ear(rng, image, plane, identity, light, camera)
    placed = dress_ear(rng, placed, outfit, identity, plan, light, camera)
    image = expose(placed.image, rng)
    points, box = placed.points, placed.box_xyxy
    mirrored = rng.random() < 0.5
    if mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
        points = np.column_stack([image_px - 1 - points[:, 0], points[:, 1]])
        box = np.array([image_px - box[2], box[1], image_px - box[0], box[3]])
    return RenderedEar(
        image,
        box.astype(np.float32),
        points.astype(np.float32),
        placed.visibility,
        factors_of(identity, light, camera, mirrored),
    )


def _draw_camera(rng: np.random.Generator, anatomy: Anatomy, image_px: int, yaw: float) -> Camera:
    rotation = pose(yaw, rng.normal(0, 0.16), rng.normal(0.0, 0.2))
    middle = np.append((anatomy.outline.max(axis=0) + anatomy.outline.min(axis=0)) / 2, 0.08)
    scale = image_px / rng.uniform(1.6, 2.1)
    offset = np.full(2, (image_px - 1) / 2) + rng.normal(0, 0.03, 2) * image_px
    return Camera(rotation, scale, middle, offset)
