"""A person for a scene: head, face, neck, shoulders and hair round the place of an ear."""

from dataclasses import dataclass

import cv2
import numpy as np

from data.render.camera import Camera
from data.render.ear import Identity
from data.render.noise import field
from data.render.skin import Light, linear, surface_shade
from data.render.surroundings import comb_hair


@dataclass(frozen=True)
class HeadPlan:
    """Where a head lies round its ear, in ear heights (u right to the face, v down), for a view between profile
    (`front` 0) and full face (1)."""

    front: float
    centre: np.ndarray
    radii: np.ndarray

    def reach_px(self, ear_px: np.ndarray, height_px: float, shape: tuple[int, int]) -> tuple[int, int, int, int]:
        """Rows and columns (top, bottom, left, right) of the picture that the person may touch."""
        low = ear_px + (self.centre - self.radii * 1.25 - (.5, .2)) * height_px
        high = ear_px + (self.centre + self.radii[0] + 1.9) * height_px
        left, top = np.maximum(low - (1.7 * height_px, 0), 0).astype(int)
        right = min(int(np.ceil(high[0])), shape[1])
        return int(top), shape[0], int(left), right


def draw_plan(rng: np.random.Generator, yaw: float) -> HeadPlan:
    """The head that goes with an ear seen under that yaw (radians)."""
    front = float(np.clip((yaw - .15) / .85, 0, 1))
    wide = (1.62 - .32 * front) * rng.uniform(.94, 1.06)
    centre_u = (.35 + (wide - .05 - .35) * front) + rng.normal(0, .05) * (1 - front)
    return HeadPlan(front, np.array([centre_u, -.30]), np.array([wide, rng.uniform(1.75, 1.95)]))


def paint_person(rng: np.random.Generator, image: np.ndarray, plan: HeadPlan, identity: Identity, light: Light,
                 camera: Camera, hide_ear: bool) -> np.ndarray:
    """Linear window (h, w, 3) with the person painted over it, but without the ear."""
    scale = camera.scale
    u = ((np.arange(image.shape[1], dtype=np.float32) - camera.offset[0]) / scale)[None]
    v = ((np.arange(image.shape[0], dtype=np.float32) - camera.offset[1]) / scale)[:, None]
    image = _body(rng, image, u, v, plan, identity, light)
    a, b = (u - plan.centre[0]) / plan.radii[0], (v - plan.centre[1]) / plan.radii[1]
    b = b * (1 + .10 * np.where(v > plan.centre[1], a * a, 0))  # a chin rather than an egg
    radius = np.sqrt(a * a + b * b)
    soft = 1.2 / (scale * plan.radii[0])
    head = _step(-radius, -1 - soft, -1 + soft)
    nose = _oval(u, v, plan.centre + (plan.radii[0] * (1 - plan.front) * .98, .42), (.22, .32), .1) * (plan.front < .6)
    head = np.maximum(head, nose)
    image = _over(image, _face(rng, u, v, a, b, plan, identity, light), head)
    plane = camera.plane_grid(image.shape[:2])
    crown = _step(-np.hypot(a, b), -1.09 - .02 * identity.hair.coarseness, -1.04)
    if identity.hair.style == "long":
        fall = _oval(u, v, plan.centre + (-.45 + .4 * plan.front, 1.3), (plan.radii[0] * 1.05, 1.9), .2)
        crown = np.maximum(crown, fall)
    image = comb_hair(rng, image, plane, identity.hair, light, scale, camera.project_plane, crown)
    return _curtain(rng, image, u, v, plan, identity, light, crown) if hide_ear else image


def _face(rng, u, v, a, b, plan: HeadPlan, identity: Identity, light: Light) -> np.ndarray:
    """Shaded skin with eyes, brows, nose and mouth, linear RGB."""
    shape = np.broadcast_shapes(u.shape, v.shape)
    rise = np.sqrt(np.clip(1 - a * a - b * b, .06, 1))
    toward = (a * light.direction[0] + b * light.direction[1]) * .8 + rise * light.direction[2]
    mottle = 1 + .05 * field(rng, shape, 3, 2)
    skin = identity.skin.albedo * mottle[..., None] * surface_shade(light, toward)
    middle = plan.centre[0] + plan.radii[0] * .84 * (1 - plan.front)
    spread = .52 * (.35 + .65 * plan.front)
    dark = np.zeros(shape, np.float32)
    for side in (-1, 1):
        eye = np.array([middle + side * spread - .1 * (1 - plan.front), -.12])
        dark = np.maximum(dark, _oval(u, v, eye, (.17, .075), .3))
        dark = np.maximum(dark, .7 * _oval(u, v, eye - (0, .24), (.26, .05), .5))
    dark = np.maximum(dark, .45 * _oval(u, v, np.array([middle, .52]), (.20, .06), .6))
    red = _oval(u, v, np.array([middle - .05, .93]), (.34 * (.5 + .5 * plan.front), .09), .4)
    skin = skin * (1 - .8 * dark[..., None])
    return skin * (1 - red[..., None] * np.array([.15, .5, .45], np.float32))


def _body(rng, image, u, v, plan: HeadPlan, identity: Identity, light: Light) -> np.ndarray:
    """Neck and shoulders."""
    lean = plan.centre[0] - .25 * (1 - plan.front)
    half = .80 + .5 * np.square(np.clip(v - 1.2, 0, 1.1))
    neck = _step(-np.abs(u - lean), -half - .03, -half + .03) * _step(v, .1, .3) * _step(-v, -2.9, -2.6)
    turn = np.clip(1 - np.square((u - lean) / half), .05, 1)
    toward = (u - lean) / half * light.direction[0] * .8 + np.sqrt(turn) * light.direction[2]
    shade = .35 + .4 * _step(v, 1.3, 2.3)
    image = _over(image, identity.skin.albedo * surface_shade(light, toward) * shade[..., None], neck)
    wide = 2.3 + .7 * plan.front
    across = np.abs(u - lean)
    slope = rng.uniform(.1, .2)
    top = 2.0 + slope * across + 1.6 * np.power(np.clip(across / wide, 0, 1.2), 6) + rng.uniform(.1, .8) * np.exp(-np.square(across / .6))
    cloth = _step(v - top, -.03, .03) * _step(-across, -wide * 1.08, -wide * 1.04)
    colour = linear(np.clip(rng.uniform(10, 230) + rng.normal(0, 30, 3), 5, 250))
    folds = np.exp(.25 * field(rng, cloth.shape, 7, 3))
    if rng.random() < .3:
        folds = folds * (1 + .5 * (np.sin(v * rng.uniform(10, 60) + 0 * u) > .3))
    return _over(image, colour * folds[..., None] * light.colour * (.5 + .5 * light.direction[2]), cloth)


def _curtain(rng, image, u, v, plan: HeadPlan, identity: Identity, light: Light, crown: np.ndarray) -> np.ndarray:
    """Hair that falls over the ear and hides it."""
    from data.render.hair import hair_texture

    shape = image.shape[:2]
    cover = _oval(u, v, np.array([-.1, .2]), (.95, 1.9), .15) * np.maximum(crown, _step(v, -.2, .3))
    u, v = np.broadcast_to(u, shape), np.broadcast_to(v, shape)
    texture, strands = hair_texture(rng, u, v, identity.hair, light, rng.uniform(1.3, 1.9))
    cover = _step(cover + .25 * strands * (cover > .02) * (cover < .98), .25, .75)
    return _over(image, texture, cover)


def _oval(u, v, centre, radii, soft: float) -> np.ndarray:
    """1 inside an ellipse, 0 outside, with an edge of relative width `soft`."""
    radius = np.sqrt(np.square((u - centre[0]) / radii[0]) + np.square((v - centre[1]) / radii[1]))
    return _step(-radius, -1 - soft / 2, -1 + soft / 2).astype(np.float32)


def _over(below: np.ndarray, above: np.ndarray, cover: np.ndarray) -> np.ndarray:
    return (below + (above - below) * cover[..., None]).astype(np.float32)


def _step(values, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
