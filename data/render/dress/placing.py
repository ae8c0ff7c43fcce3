"""An ear seen by a camera, set into a picture: its shadow, what covers it, and its exact labels."""

from dataclasses import dataclass

import cv2
import numpy as np

from data.manifest import HIDDEN, NOT_ANNOTATED, VISIBLE
from data.render.dress.loose_hair import hang_hair
from data.render.ear.camera import Camera
from data.render.ear.relief import Relief, raise_relief
from data.render.ear.skin import shade_ear
from data.render.head.identity import Identity
from data.render.paint.light import Light

# Shares of photographs with hair over the ear, by style; below _HEAVY it is a lock, else single strands.
_HAIR_OVER_EAR = {"long": 0.45, "tied": 0.25, "short": 0.10, "buzz": 0.0, "bald": 0.0}
_HEAVY = 0.12
# A landmark is hidden by a fold of its own ear when its ray meets the ear this far away (ear heights); a
# grazing ray may miss its own spot by more.
_FOLD = 0.06


@dataclass(frozen=True)
class PlacedEar:
    """image: linear (h, w, 3); box_xyxy (4,) px, edges; points (17, 2) px; visibility (17,) 0, 1 or 2."""

    image: np.ndarray
    box_xyxy: np.ndarray
    points: np.ndarray
    visibility: np.ndarray


def place_ear(
    rng: np.random.Generator,
    image: np.ndarray,
    plane: tuple[np.ndarray, np.ndarray],
    identity: Identity,
    light: Light,
    camera: Camera,
    window: bool = False,
) -> PlacedEar:
    """The ear, its shadow and hair painted over a linear image (h, w, 3).

    plane: x and y (h, w) of each pixel in ear heights. `window` says that the image is a part of a larger
    one, at whose border hair has to end softly.
    """
    anatomy = identity.anatomy
    relief = raise_relief(anatomy, float(np.clip(2 * camera.scale, 90, 420)))
    depth = cv2.GaussianBlur(relief.height, (0, 0), 0.03 * relief.scale)
    points = camera.project(lift(anatomy.landmarks, relief, depth))
    outline = camera.project(lift(anatomy.outline, relief, depth))
    box = np.concatenate([outline.min(axis=0), outline.max(axis=0)]) + 0.5  # edges of pixels, not centres
    part = _part(box, 0.06 * camera.scale + 2, image.shape[:2])
    maps = camera.canvas_maps(relief, depth, (plane[0][part], plane[1][part]))
    image = _composite(image, part, maps, relief, identity, light, camera)
    cover = np.zeros(image.shape[:2], np.float32)
    amount = rng.random()
    if amount < _HAIR_OVER_EAR[identity.hair.style]:
        heavy = amount < _HEAVY
        image, cover = hang_hair(rng, image, plane, identity.hair, light, camera, heavy, window)
    folded = _behind_a_fold(points, relief.to_px(anatomy.landmarks), maps, part, relief, camera)
    visibility = np.where(folded, np.minimum(visible(cover, points), HIDDEN), visible(cover, points))
    return PlacedEar(image, box, points, visibility.astype(np.uint8))


def visible(cover: np.ndarray, points: np.ndarray) -> np.ndarray:
    """COCO visibility (N,) of points px: 2 seen, 1 where the cover hides them, 0 outside the picture."""
    height, width = cover.shape
    soft = cv2.GaussianBlur(cover, (0, 0), max(height / 192, 0.8))
    column, row = np.round(points).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    hidden = soft[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)] > 0.6
    return np.where(inside, np.where(hidden, HIDDEN, VISIBLE), NOT_ANNOTATED).astype(np.uint8)


def lift(points: np.ndarray, relief: Relief, depth: np.ndarray) -> np.ndarray:
    """Points (N, 2) on the cheek plane -> (N, 3) on the relief, in ear heights."""
    px = relief.to_px(points).astype(np.float32)
    z = cv2.remap(depth, px[:, 0], px[:, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.column_stack([points, z.ravel()])


def _composite(
    image: np.ndarray,
    part: tuple[slice, slice],
    maps: tuple[np.ndarray, np.ndarray],
    relief: Relief,
    identity: Identity,
    light: Light,
    camera: Camera,
) -> np.ndarray:
    """Image with the shaded ear warped into its part, over the shadow that it throws."""
    colour = shade_ear(relief, identity.skin, light, camera.rotation)
    layer = np.dstack([colour * relief.alpha[..., None], relief.alpha])
    layer = cv2.GaussianBlur(layer, (0, 0), 0.45 * relief.scale / camera.scale)
    layer = cv2.remap(layer, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    free = cv2.remap(relief.free, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    alpha = layer[..., 3]
    caster = np.zeros(image.shape[:2], np.float32)
    caster[part] = 0.8 * free + 0.2 * alpha
    image = image * (1 - _drop_shadow(caster, light, camera.scale)[..., None])
    image[part] = image[part] * (1 - alpha[..., None]) + layer[..., :3]
    return image


def _drop_shadow(caster: np.ndarray, light: Light, scale_px: float) -> np.ndarray:
    """How much light the ear takes from what lies behind it: contact shadow and cast shadow (h, w)."""
    rows, columns = caster.shape
    contact = cv2.GaussianBlur(caster, (0, 0), 0.035 * scale_px)
    move = -light.direction[:2] / max(light.direction[2], 0.3) * 0.10 * scale_px
    cast = cv2.warpAffine(caster, np.float32([[1, 0, move[0]], [0, 1, move[1]]]), (columns, rows))
    cast = cv2.GaussianBlur(cast, (0, 0), (0.02 + 0.03 * (1 - light.hardness)) * scale_px)
    return 0.45 * contact + 0.35 * light.hardness * cast * (1 - 0.45 * contact)


def _part(box: np.ndarray, grow_px: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    left, top = np.maximum(np.floor(box[:2] - grow_px), 0).astype(int)
    right, bottom = np.minimum(np.ceil(box[2:] + grow_px), shape[::-1]).astype(int)
    return slice(int(top), max(int(bottom), int(top) + 1)), slice(int(left), max(int(right), int(left) + 1))


def _behind_a_fold(
    points: np.ndarray,
    canvas_points: np.ndarray,
    maps: tuple,
    part: tuple[slice, slice],
    relief: Relief,
    camera: Camera,
) -> np.ndarray:
    """Which of the points (N, 2) px another fold of the ear stands in front of: (N,) bool."""
    column, row = np.round(points - (part[1].start, part[0].start)).astype(int).T
    height, width = maps[0].shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
    seen = np.column_stack([axis[row, column] for axis in maps])
    allowed = _FOLD / np.sqrt(max(float(camera.rotation[2, 2]), 0.1))
    return inside & (np.hypot(*(seen - canvas_points).T) > allowed * relief.scale)
