"""One photograph of one ear, with its box and landmarks."""

from dataclasses import dataclass

import cv2
import numpy as np

from data.render.anatomy import Anatomy, draw_anatomy
from data.render.camera import Camera, expose, pose
from data.render.hair import Hair, draw_hair
from data.render.occluders import hang_earring, hang_hair, wear_glasses
from data.render.relief import Relief, raise_relief
from data.render.skin import Light, Skin, draw_light, draw_skin, shade_ear
from data.render.surroundings import paint_surroundings


@dataclass(frozen=True)
class RenderedEar:
    """A picture of one ear.

    image (H, W, 3) uint8 RGB; box_xyxy (4,) float32 px, the extent of the ear's outline
    (edges: pixel i covers i to i + 1); landmarks (17, 2) float32
    px; visibility (17,) uint8: 2 seen, 1 covered.
    """

    image: np.ndarray
    box_xyxy: np.ndarray
    landmarks: np.ndarray
    visibility: np.ndarray


@dataclass(frozen=True)
class Identity:
    """What stays the same in all photographs of an ear."""

    anatomy: Anatomy
    skin: Skin
    hair: Hair
    earring: bool


def render_ear(seed_identity: int, seed_photo: int, image_px: int = 192) -> RenderedEar:
    """Photograph `seed_photo` of ear `seed_identity`, a square picture; the face lies right or left by chance."""
    identity = draw_identity(seed_identity)
    rng = np.random.default_rng([seed_identity, seed_photo, 2])
    light = draw_light(rng)
    camera = _draw_camera(rng, identity.anatomy, image_px)
    plane = camera.plane_grid((image_px, image_px))
    image = paint_surroundings(rng, plane, identity.skin, identity.hair, light, camera.scale, camera.project_plane)
    image, box, points, cover = place_ear(rng, image, plane, identity, light, camera)
    visibility = visible(cover, points)
    image = expose(image, rng)
    if rng.random() < .5:
        image = np.ascontiguousarray(image[:, ::-1])
        points[:, 0] = image_px - 1 - points[:, 0]
        box[[0, 2]] = image_px - box[[2, 0]]
    return RenderedEar(image, box.astype(np.float32), points.astype(np.float32), visibility)


def draw_identity(seed: int) -> Identity:
    rng = np.random.default_rng([seed, 1])
    anatomy, skin = draw_anatomy(rng), draw_skin(rng)
    return Identity(anatomy, skin, draw_hair(rng, skin.depth), bool(rng.random() < .15))


def place_ear(rng: np.random.Generator, image: np.ndarray, plane: tuple, identity: Identity, light: Light,
              camera: Camera, window: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ear, its shadow, strands and earring on a linear image; also box (4,), points (17, 2) px and cover (h, w).

    `window` says that the image is a part of a larger one, at whose border hair has to end softly.
    """
    anatomy = identity.anatomy
    relief = raise_relief(anatomy, float(np.clip(2 * camera.scale, 90, 420)))
    depth = cv2.GaussianBlur(relief.height, (0, 0), .03 * relief.scale)
    colour = shade_ear(relief, identity.skin, light, camera.rotation)
    map_x, map_y = camera.canvas_maps(relief, depth, plane)
    layer = np.dstack([colour * relief.alpha[..., None], relief.alpha])
    blur = .45 * relief.scale / camera.scale
    layer = cv2.GaussianBlur(layer, (0, 0), blur)
    layer = cv2.remap(layer, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    alpha = layer[..., 3:]
    free = cv2.remap(relief.free, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    image = image * (1 - _drop_shadow(.8 * free + .2 * alpha[..., 0], light, camera.scale)[..., None])
    image = image * (1 - alpha) + layer[..., :3]
    points = camera.project(_lift(anatomy.landmarks, relief, depth))
    outline = camera.project(_lift(anatomy.outline, relief, depth))
    box = np.concatenate([outline.min(axis=0), outline.max(axis=0)]) + .5  # edges of pixels, not their centres
    cover = np.zeros(image.shape[:2], np.float32)
    if identity.earring:
        lobe = camera.project(_lift(anatomy.curves["lobe"], relief, depth))[0]
        image = hang_earring(rng, image, lobe, camera.scale, light)
    if rng.random() < .06:
        image = wear_glasses(rng, image, camera.scale, camera.project_plane, light)
    amount = rng.random()
    if identity.hair.style != "bald" and amount < {"long": .45, "tied": .25, "short": .1, "buzz": 0}[identity.hair.style]:
        image, cover = hang_hair(rng, image, plane, identity.hair, light, camera.scale, camera.project_plane, amount < .12, window)
    return image, box, points, cover


def visible(cover: np.ndarray, points: np.ndarray) -> np.ndarray:
    """COCO visibility (N,) of points px: 2 seen, 1 where the cover hides them, 0 outside the picture."""
    height, width = cover.shape
    soft = cv2.GaussianBlur(cover, (0, 0), max(height / 192, .8))
    column, row = np.round(points).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    hidden = soft[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)] > .6
    return np.where(inside, np.where(hidden, 1, 2), 0).astype(np.uint8)


def _draw_camera(rng: np.random.Generator, anatomy: Anatomy, image_px: int) -> Camera:
    yaw = np.clip(rng.normal(.14, .38), -.55, .95)
    rotation = pose(yaw, rng.normal(0, .14), rng.normal(.0, .2))
    middle = np.append((anatomy.outline.max(axis=0) + anatomy.outline.min(axis=0)) / 2, .08)
    scale = image_px / rng.uniform(1.6, 2.1)
    offset = np.full(2, (image_px - 1) / 2) + rng.normal(0, .03, 2) * image_px
    return Camera(rotation, scale, middle, offset)


def _lift(points: np.ndarray, relief: Relief, depth: np.ndarray) -> np.ndarray:
    """Points (N, 2) on the cheek plane -> (N, 3) on the relief."""
    px = relief.to_px(points).astype(np.float32)
    z = cv2.remap(depth, px[:, 0], px[:, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.column_stack([points, z.ravel()])


def _drop_shadow(alpha: np.ndarray, light: Light, scale_px: float) -> np.ndarray:
    """How much light the ear takes from what lies behind it: contact shadow and cast shadow (h, w)."""
    rows, columns = alpha.shape
    contact = cv2.GaussianBlur(alpha, (0, 0), .035 * scale_px)
    move = -light.direction[:2] / max(light.direction[2], .3) * .10 * scale_px
    cast = cv2.warpAffine(alpha, np.float32([[1, 0, move[0]], [0, 1, move[1]]]), (columns, rows))
    cast = cv2.GaussianBlur(cast, (0, 0), (.02 + .03 * (1 - light.hardness)) * scale_px)
    return .45 * contact + .35 * light.hardness * cast * (1 - .45 * contact)
