"""A person: head, face, neck, shoulders and hair round the place of an ear."""

from dataclasses import replace

import cv2
import numpy as np

from data.render.ear.camera import Camera
from data.render.ear.skin import surface_shade
from data.render.head.face_map import FaceMap, Looks, draw_looks
from data.render.head.faces import draw_face, nose_outline
from data.render.head.glasses import draw_rims
from data.render.head.hair import Hair, hair_texture
from data.render.head.hairline import comb_hair
from data.render.head.head_plan import HeadPlan
from data.render.head.headwear import draw_mask
from data.render.head.identity import Identity
from data.render.head.outfit import Outfit
from data.render.paint.blending import oval, over, step, to_fixed
from data.render.paint.brush import Brush
from data.render.paint.light import Light, linear
from data.render.paint.noise import field


def paint_person(
    rng: np.random.Generator,
    image: np.ndarray,
    plan: HeadPlan,
    identity: Identity,
    light: Light,
    camera: Camera,
    outfit: Outfit,
    hide_ear: bool = False,
) -> np.ndarray:
    """Linear window (h, w, 3) with the person painted over it, but without the ear."""
    scale = camera.scale
    u = ((np.arange(image.shape[1], dtype=np.float32) - np.float32(camera.offset[0])) / scale)[None]
    v = ((np.arange(image.shape[0], dtype=np.float32) - np.float32(camera.offset[1])) / scale)[:, None]
    image = _body(rng, image, u, v, plan, identity, light)
    a, b = (u - plan.centre[0]) / plan.radii[0], (v - plan.centre[1]) / plan.radii[1]
    # The lower face is squarer than an egg, and runs to a chin when seen from the front.
    below = v > plan.centre[1]
    b = b * (1 + 0.10 * max(plan.front, 0) * np.where(below, a * a, 0))
    radius = np.where(
        below & (a > 0),
        np.power(np.power(np.abs(a), 2.6) + np.power(np.abs(b), 2.6), 1 / 2.6),
        np.hypot(a, b),
    )
    soft = 1.2 / (scale * plan.radii[0])
    jaw = _jaw(u, v, plan)
    head = step(-radius, -1 - soft, -1 + soft) * jaw
    looks = draw_looks(rng, identity.bearded)
    face = FaceMap(
        camera.offset + plan.centre * scale,
        plan.radii * scale,
        scale,
        (1 - plan.front) * np.pi / 2,
        float(camera.offset[1]),
    )
    standing_out = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(standing_out, to_fixed(nose_outline(face, looks))[None], 255, cv2.LINE_AA, 4)
    head = np.maximum(head, standing_out.astype(np.float32) / 255)
    image = over(image, _lit_face(rng, a, b, face, looks, identity, light), head)
    if outfit.over_ear == "mask":
        draw_mask(Brush(image), face, outfit, light)
    if outfit.glasses:
        draw_rims(Brush(image), face, outfit, light)
    plane = camera.plane_grid(image.shape[:2])
    hair = replace(identity.hair, style="long") if hide_ear else identity.hair
    crown = step(-radius, -1.09 - 0.02 * hair.coarseness, -1.04) if hair.style != "buzz" else head
    if hair.style == "long":
        fall = oval(u, v, plan.centre + (-0.45 + 0.4 * plan.front, 1.3), (plan.radii[0] * 1.05, 1.9), 0.2)
        crown = np.maximum(crown, fall)
    if plan.front > 0.4:
        image = _comb_far_side(rng, image, plan, hair, light, camera, crown)
    image = comb_hair(rng, image, plane, hair, light, camera, crown)
    return _curtain(rng, image, u, v, identity, light, crown) if hide_ear else image


def _jaw_edge(v: np.ndarray, plan: HeadPlan) -> np.ndarray:
    """Where (u) the jaw ends backwards at each height; far behind the ear in a full face."""
    return -0.15 - 2.2 * max(plan.front, 0) + 0.95 * np.clip(v - 0.75, 0, None) ** 0.9


def _jaw(u: np.ndarray, v: np.ndarray, plan: HeadPlan) -> np.ndarray:
    """1 on the head, 0 behind and below the jaw, where a head seen from the side gives way to its neck."""
    return 1 - step(v, 0.5, 0.85) * step(_jaw_edge(v, plan) - u, -0.05, 0.05)


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


def _lit_face(
    rng: np.random.Generator, a, b, face: FaceMap, looks: Looks, identity: Identity, light: Light
) -> np.ndarray:
    """Shaded skin of the head with its features, linear RGB; a and b: places in radii of the head."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    skin = identity.skin
    rise = np.sqrt(np.clip(1 - a * a - b * b, 0.06, 1))
    toward = (a * light.direction[0] + b * light.direction[1]) * 0.8 + rise * light.direction[2]
    mottle = 1 + 0.05 * field(rng, shape, 3, 2) + np.float32(0.025 * skin.texture) * field(rng, shape, 40, 2)
    albedo = skin.albedo * mottle[..., None]
    draw_face(rng, albedo, face, looks, identity.hair.colour)
    shine = np.float32(0.10 * skin.gloss) * np.power(np.clip(toward, 0, 1), 12)
    return (albedo * surface_shade(light, toward) + shine[..., None] * light.colour).astype(np.float32)


def _body(rng, image, u, v, plan: HeadPlan, identity: Identity, light: Light) -> np.ndarray:
    """Neck and shoulders."""
    lean = plan.centre[0] - 0.25 * (1 - plan.front)
    nape = 0.38 * np.exp(-np.square((v - 0.5) / 0.45)) * (1 - max(plan.front, 0))
    half = 0.80 + 0.5 * np.square(np.clip(v - 1.2, 0, 1.1)) + nape
    neck = step(-np.abs(u - lean), -half - 0.03, -half + 0.03) * step(v, 0.1, 0.3) * step(-v, -2.9, -2.6)
    turn = np.clip(1 - np.square((u - lean) / half), 0.05, 1)
    toward = (u - lean) / half * light.direction[0] * 0.8 + np.sqrt(turn) * light.direction[2]
    # Darkest right under the jaw.
    under = np.exp(-np.clip(_jaw_edge(v, plan) - u, 0, None) / 0.5) * step(v, 0.6, 1.3) * step(-v, -2.6, -1.3)
    shade = rng.uniform(0.8, 1.0) - 0.5 * under
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


def _curtain(rng, image, u, v, identity: Identity, light: Light, crown: np.ndarray) -> np.ndarray:
    """Hair that falls over the ear and hides it."""
    shape = image.shape[:2]
    cover = oval(u, v, np.array([-0.1, 0.2]), (0.95, 1.9), 0.15) * np.maximum(crown, step(v, -0.2, 0.3))
    u, v = np.broadcast_to(u, shape), np.broadcast_to(v, shape)
    texture, strands = hair_texture(rng, u, v, identity.hair, light, rng.uniform(1.3, 1.9))
    cover = step(cover + 0.25 * strands * (cover > 0.02) * (cover < 0.98), 0.25, 0.75)
    return over(image, texture, cover)
