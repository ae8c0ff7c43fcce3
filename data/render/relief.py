"""The height map of an ear: plateau, ridges and the concha bowl, from distances to the anatomical curves."""

from dataclasses import dataclass

import cv2
import numpy as np

from data.render.anatomy import Anatomy
from data.render.blending import step, to_fixed
from data.render.curves import piece

MARGIN = 0.12


@dataclass(frozen=True)
class Relief:
    """Maps (h, w) float32 of one ear on its own canvas; heights in ear heights, above the cheek.

    `alpha` is the soft cover of the ear, `free` the same without what grows out of the cheek; `bowl`, `helix`
    and `lobe` are soft covers of these parts, `canal` how dark the canal is. `scale`: px an ear height.
    """

    height: np.ndarray
    alpha: np.ndarray
    free: np.ndarray
    bowl: np.ndarray
    helix: np.ndarray
    canal: np.ndarray
    lobe: np.ndarray
    scale: float

    def to_px(self, points: np.ndarray) -> np.ndarray:
        """Ear heights -> canvas px."""
        return (np.asarray(points) + MARGIN) * self.scale


def raise_relief(anatomy: Anatomy, scale: float) -> Relief:
    """Height map of the ear at `scale` canvas pixels for one ear height."""
    draw = _Canvas(anatomy, scale)
    curves, folds = anatomy.curves, anatomy.folds
    x, y = draw.grid()
    cover = draw.filled(anatomy.outline)
    to_rim = draw.inside(cover)
    attachment = draw.distance(curves["attachment"])
    lean = (
        folds["protrusion"]
        * np.maximum(float(anatomy.outline[:, 0].max()) - x, 0)
        * step(attachment, 0, 0.25)
    )

    helix_mask = draw.filled(np.concatenate([piece(curves["rim"], 0, 0.745), curves["inner"][::-1][:-12]]))
    fade = step(-y, -0.74, -0.50)
    roll = folds["roll"]
    rolled = _dome(draw.inside(helix_mask), roll)
    helix = folds["helix"] * rolled * (0.35 + 0.65 * fade)

    ridge = folds["ridge"]
    stem = (
        folds["stem"] * _bell(draw.distance(curves["stem"]), ridge) * (0.25 + 0.75 * step(-y, -0.74, -0.58))
    )
    superior = folds["superior"] * _bell(draw.distance(curves["superior"]), ridge * 1.15)
    inferior = folds["inferior"] * _bell(draw.distance(curves["inferior"]), ridge * 0.75)
    antihelix = np.maximum(stem, np.maximum(superior, inferior))

    bowl_mask = draw.filled(np.concatenate([curves["bowl"], curves["crus"][:1]]))
    depth = draw.inside(bowl_mask)
    sink = 0.55 * (1 - np.exp(-depth / 0.022)) + 0.45 * step(depth, 0, 0.13)
    crus = (
        folds["crus"]
        * _bell(draw.distance(curves["crus"]), 0.026)
        * step(x, curves["crus"][-1, 0], curves["crus"][12, 0])
    )
    apex = curves["tragus"][25]
    front = apex + (0.045, 0.01)
    tragus = folds["tragus"] * _blob(x, y, front, 0.045, 0.075) * (1 - bowl_mask)
    antitragus = (
        folds["antitragus"] * _bell(draw.distance(curves["antitragus"][12:]), 0.032) * (1 - 0.5 * bowl_mask)
    )
    canal = _blob(x, y, curves["canal"][0] - (0.012, 0), 0.032, 0.05) * bowl_mask
    lobe = folds["lobe"] * _dome(to_rim, 0.10) * step(y, 0.68, 0.82)

    edge = 0.022 * _dome(to_rim, 0.03)
    height = (
        lean
        + edge
        + helix
        + antihelix
        + lobe
        + antitragus
        - folds["scapha"] * (1 - rolled) * step(-y, -0.72, -0.60)
    )
    height = (
        height
        - (folds["bowl"] + 0.5 * antihelix) * sink * bowl_mask
        + crus * (bowl_mask * 0.9 + 0.1)
        + tragus
        - 0.05 * canal
    )
    height = draw.smooth(height, 0.006)
    # The lobe has an edge towards the cheek; further up the ear grows out of it.
    seam = 0.03 + 0.05 * step(-y, -0.84, -0.70)
    alpha = draw.smooth(cover, 0.0035) * step(attachment, 0.005, seam)
    free = draw.smooth(cover, 0.0035) * step(attachment, 0.04, 0.20)
    return Relief(
        height.astype(np.float32),
        alpha,
        free,
        draw.smooth(bowl_mask, 0.008),
        draw.smooth(helix_mask, 0.008) * fade,
        canal,
        step(y, 0.74, 0.86) * cover,
        scale,
    )


class _Canvas:
    """Draws curves given in ear heights; returns float32 maps with distances in ear heights."""

    def __init__(self, anatomy: Anatomy, scale: float):
        self.scale = scale
        extent = anatomy.outline.max(axis=0) + 2 * MARGIN
        self.size = tuple(int(np.ceil(side * scale)) for side in extent)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        x = np.arange(self.size[0], dtype=np.float32) / self.scale - MARGIN
        y = np.arange(self.size[1], dtype=np.float32) / self.scale - MARGIN
        return np.broadcast_to(x, self.size[::-1]), np.broadcast_to(y[:, None], self.size[::-1])

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        return to_fixed((points + MARGIN) * self.scale)[None]

    def filled(self, polygon: np.ndarray) -> np.ndarray:
        mask = np.zeros(self.size[::-1], np.uint8)
        cv2.fillPoly(mask, self._fixed(polygon), 255, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def inside(self, mask: np.ndarray) -> np.ndarray:
        """Distance of each pixel inside a mask to its border."""
        return cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / self.scale

    def distance(self, curve: np.ndarray) -> np.ndarray:
        blank = np.full(self.size[::-1], 255, np.uint8)
        cv2.polylines(blank, self._fixed(curve), False, 0, 1, cv2.LINE_8, 4)
        return cv2.distanceTransform(blank, cv2.DIST_L2, 5) / self.scale

    def smooth(self, image: np.ndarray, sigma: float) -> np.ndarray:
        return cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), max(sigma * self.scale, 0.4))


def _dome(distance: np.ndarray, radius: float) -> np.ndarray:
    """Quarter circle: 0 at the border, 1 from `radius` inwards."""
    return np.sqrt(1 - np.square(1 - np.minimum(distance / radius, 1)))


def _bell(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-np.square(distance / width))


def _blob(x: np.ndarray, y: np.ndarray, centre: np.ndarray, width: float, height: float) -> np.ndarray:
    column, row = np.float32(centre)
    return np.exp(-np.square((x - column) / width) - np.square((y - row) / height))
