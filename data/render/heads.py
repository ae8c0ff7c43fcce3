"""A person for a scene: head, face, neck, shoulders and hair round the place of an ear."""

from dataclasses import dataclass, replace

import numpy as np

from data.render.blending import oval, over, step
from data.render.camera import Camera
from data.render.hair import Hair, hair_texture
from data.render.hairline import comb_hair
from data.render.identity import Identity
from data.render.noise import field
from data.render.skin import Light, linear, surface_shade


@dataclass(frozen=True)
class HeadPlan:
    """Where a head lies round its ear, in ear heights (u to the face, v down).

    `front` is the view: 0 profile, 1 full face.
    """

    front: float
    centre: np.ndarray
    radii: np.ndarray

    def reach_px(
        self, ear_px: np.ndarray, height_px: float, shape: tuple[int, int]
    ) -> tuple[int, int, int, int]:
        """Rows and columns (top, bottom, left, right) of the picture that the person may touch."""
        low = ear_px + (self.centre - self.radii * 1.25 - (0.5, 0.2)) * height_px
        high = ear_px + (self.centre + self.radii[0] + 1.9) * height_px
        left, top = np.maximum(low - (1.7 * height_px, 0), 0).astype(int)
        right = min(int(np.ceil(high[0])), shape[1])
        return int(top), shape[0], int(left), right


def draw_plan(rng: np.random.Generator, yaw: float) -> HeadPlan:
    """The head that goes with an ear seen under that yaw (radians)."""
    front = float(np.clip((yaw - 0.15) / 0.85, 0, 1))
    wide = (1.62 - 0.32 * front) * rng.uniform(0.94, 1.06)
    centre_u = (0.35 + (wide - 0.05 - 0.35) * front) + rng.normal(0, 0.05) * (1 - front)
    radii = np.array([wide, rng.uniform(1.75, 1.95)], np.float32)
    return HeadPlan(front, np.array([centre_u, -0.30], np.float32), radii)


def paint_person(
    rng: np.random.Generator,
    image: np.ndarray,
    plan: HeadPlan,
    identity: Identity,
    light: Light,
    camera: Camera,
    hide_ear: bool,
) -> np.ndarray:
    """Linear window (h, w, 3) with the person painted over it, but without the ear."""
    scale = camera.scale
    u = ((np.arange(image.shape[1], dtype=np.float32) - np.float32(camera.offset[0])) / scale)[None]
    v = ((np.arange(image.shape[0], dtype=np.float32) - np.float32(camera.offset[1])) / scale)[:, None]
    image = _body(rng, image, u, v, plan, identity, light)
    a, b = (u - plan.centre[0]) / plan.radii[0], (v - plan.centre[1]) / plan.radii[1]
    b = b * (1 + 0.10 * np.where(v > plan.centre[1], a * a, 0))  # a chin rather than an egg
    radius = np.sqrt(a * a + b * b)
    soft = 1.2 / (scale * plan.radii[0])
    head = step(-radius, -1 - soft, -1 + soft)
    nose = oval(u, v, plan.centre + (plan.radii[0] * (1 - plan.front) * 0.98, 0.42), (0.22, 0.32), 0.1) * (
        plan.front < 0.6
    )
    head = np.maximum(head, nose)
    image = over(image, _face(rng, u, v, a, b, plan, identity, light), head)
    plane = camera.plane_grid(image.shape[:2])
    hair = replace(identity.hair, style="long") if hide_ear else identity.hair
    crown = step(-radius, -1.09 - 0.02 * hair.coarseness, -1.04) if hair.style != "buzz" else head
    if hair.style == "long":
        fall = oval(u, v, plan.centre + (-0.45 + 0.4 * plan.front, 1.3), (plan.radii[0] * 1.05, 1.9), 0.2)
        crown = np.maximum(crown, fall)
    if plan.front > 0.5:
        image = _comb_far_side(rng, image, plan, hair, light, camera, crown)
    image = comb_hair(rng, image, plane, hair, light, camera, crown)
    return _curtain(rng, image, u, v, plan, identity, light, crown) if hide_ear else image


def _comb_far_side(
    rng: np.random.Generator,
    image: np.ndarray,
    plan: HeadPlan,
    hair: Hair,
    light: Light,
    camera: Camera,
    crown: np.ndarray,
) -> np.ndarray:
    """Hair round the other ear of a face seen from the front: the same haircut, mirrored."""
    columns = image.shape[1]
    same = np.random.default_rng()
    same.bit_generator.state = rng.bit_generator.state
    far = columns - 1 - (camera.offset[0] + 2 * plan.centre[0] * camera.scale)
    mirrored = replace(camera, offset=np.array([far, camera.offset[1]]))
    plane = mirrored.plane_grid(image.shape[:2])
    return comb_hair(same, image[:, ::-1], plane, hair, light, mirrored, crown[:, ::-1])[:, ::-1]


def _face(rng, u, v, a, b, plan: HeadPlan, identity: Identity, light: Light) -> np.ndarray:
    """Shaded skin with eyes, brows, nose and mouth, linear RGB."""
    shape = np.broadcast_shapes(u.shape, v.shape)
    rise = np.sqrt(np.clip(1 - a * a - b * b, 0.06, 1))
    toward = (a * light.direction[0] + b * light.direction[1]) * 0.8 + rise * light.direction[2]
    mottle = 1 + 0.05 * field(rng, shape, 3, 2)
    skin = identity.skin.albedo * mottle[..., None] * surface_shade(light, toward)
    middle = plan.centre[0] + plan.radii[0] * 0.84 * (1 - plan.front)
    spread = 0.52 * (0.35 + 0.65 * plan.front)
    dark = np.zeros(shape, np.float32)
    for side in (-1, 1):
        eye = np.array([middle + side * spread - 0.1 * (1 - plan.front), -0.12])
        dark = np.maximum(dark, oval(u, v, eye, (0.17, 0.075), 0.3))
        dark = np.maximum(dark, 0.7 * oval(u, v, eye - (0, 0.24), (0.26, 0.05), 0.5))
    dark = np.maximum(dark, 0.45 * oval(u, v, np.array([middle, 0.52]), (0.20, 0.06), 0.6))
    red = oval(u, v, np.array([middle - 0.05, 0.93]), (0.34 * (0.5 + 0.5 * plan.front), 0.09), 0.4)
    skin = skin * (1 - 0.8 * dark[..., None])
    return skin * (1 - red[..., None] * np.array([0.15, 0.5, 0.45], np.float32))


def _body(rng, image, u, v, plan: HeadPlan, identity: Identity, light: Light) -> np.ndarray:
    """Neck and shoulders."""
    lean = plan.centre[0] - 0.25 * (1 - plan.front)
    half = 0.80 + 0.5 * np.square(np.clip(v - 1.2, 0, 1.1))
    neck = step(-np.abs(u - lean), -half - 0.03, -half + 0.03) * step(v, 0.1, 0.3) * step(-v, -2.9, -2.6)
    turn = np.clip(1 - np.square((u - lean) / half), 0.05, 1)
    toward = (u - lean) / half * light.direction[0] * 0.8 + np.sqrt(turn) * light.direction[2]
    shade = 0.35 + 0.4 * step(v, 1.3, 2.3)
    image = over(image, identity.skin.albedo * surface_shade(light, toward) * shade[..., None], neck)
    wide = 2.3 + 0.7 * plan.front
    across = np.abs(u - lean)
    slope = rng.uniform(0.1, 0.2)
    top = (
        2.0
        + slope * across
        + 1.6 * np.power(np.clip(across / wide, 0, 1.2), 6)
        + rng.uniform(0.1, 0.8) * np.exp(-np.square(across / 0.6))
    )
    cloth = step(v - top, -0.03, 0.03) * step(-across, -wide * 1.08, -wide * 1.04)
    colour = linear(np.clip(rng.uniform(10, 230) + rng.normal(0, 30, 3), 5, 250))
    folds = np.exp(0.25 * field(rng, cloth.shape, 7, 3))
    if rng.random() < 0.3:
        folds = folds * (1 + 0.5 * (np.sin(v * rng.uniform(10, 60) + 0 * u) > 0.3))
    return over(image, colour * folds[..., None] * light.colour * (0.5 + 0.5 * light.direction[2]), cloth)


def _curtain(
    rng, image, u, v, plan: HeadPlan, identity: Identity, light: Light, crown: np.ndarray
) -> np.ndarray:
    """Hair that falls over the ear and hides it."""
    shape = image.shape[:2]
    cover = oval(u, v, np.array([-0.1, 0.2]), (0.95, 1.9), 0.15) * np.maximum(crown, step(v, -0.2, 0.3))
    u, v = np.broadcast_to(u, shape), np.broadcast_to(v, shape)
    texture, strands = hair_texture(rng, u, v, identity.hair, light, rng.uniform(1.3, 1.9))
    cover = step(cover + 0.25 * strands * (cover > 0.02) * (cover < 0.98), 0.25, 0.75)
    return over(image, texture, cover)
