"""The height map of an ear: plateau, ridges and the concha bowl, from distances to the anatomical curves."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data.render.ear.anatomy import Anatomy
from data.render.paint.blending import step, to_fixed
from data.render.paint.curves import piece

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
    folds = anatomy.folds
    x, y = draw.grid()
    cover = draw.filled(anatomy.outline)
    to_rim = draw.inside(cover)
    attachment = draw.distance(anatomy.curves["attachment"])
    behind_face = np.maximum(float(anatomy.outline[:, 0].max()) - x, 0)
    lean = folds["protrusion"] * behind_face * step(attachment, 0, 0.25)
    edge = 0.022 * _dome(to_rim, 0.03)
    lobe = folds["lobe"] * _dome(to_rim, 0.10) * step(y, 0.68, 0.82)
    helix, rolled, helix_cover = _helix(draw, anatomy)
    antihelix = _antihelix(draw, anatomy)
    bowl_cover = draw.filled(np.concatenate([anatomy.curves["bowl"], anatomy.curves["crus"][:1]]))
    scapha = folds["scapha"] * (1 - rolled) * step(-y, -0.72, -0.60)
    height = lean + edge + helix + antihelix + lobe - scapha
    height = height + _knobs(draw, anatomy, bowl_cover)
    canal = _blob(x, y, anatomy.curves["canal"][0] - (0.012, 0), 0.032, 0.05) * bowl_cover
    height = height - _bowl(draw, folds["bowl"] + 0.5 * antihelix, bowl_cover) - 0.05 * canal
    # The lobe has an edge towards the cheek; further up the ear grows out of it.
    seam = 0.03 + 0.05 * step(-y, -0.84, -0.70) + 0.05 * step(y, 0.12, 0.3) * step(-y, -0.75, -0.6)
    soft_cover = draw.smooth(cover, 0.0035)
    return Relief(
        height=draw.smooth(height, 0.006),
        alpha=soft_cover * step(attachment, 0.005, seam),
        free=soft_cover * step(attachment, 0.04, 0.20),
        bowl=draw.smooth(bowl_cover, 0.008),
        helix=helix_cover,
        canal=canal,
        lobe=step(y, 0.74, 0.86) * cover,
        scale=scale,
    )


def _helix(draw: _Canvas, anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rolled rim between outer and inner rim: its height, where it is rolled (0..1), its soft cover."""
    curves, folds = anatomy.curves, anatomy.folds
    band = draw.filled(np.concatenate([piece(curves["rim"], 0, 0.745), curves["inner"][::-1][:-12]]))
    rolled = _dome(draw.inside(band), folds["roll"])
    fade = step(-draw.grid()[1], -0.74, -0.50)  # it flattens towards the lobe
    return folds["helix"] * rolled * (0.35 + 0.65 * fade), rolled, draw.smooth(band, 0.008) * fade


def _antihelix(draw: _Canvas, anatomy: Anatomy) -> np.ndarray:
    """The Y-shaped ridge behind the bowl: stem, superior and inferior crus."""
    curves, folds = anatomy.curves, anatomy.folds
    ridge = folds["ridge"]
    fade = 0.25 + 0.75 * step(-draw.grid()[1], -0.74, -0.58)
    stem = folds["stem"] * _bell(draw.distance(curves["stem"]), ridge) * fade
    superior = folds["superior"] * _bell(draw.distance(curves["superior"]), ridge * 1.15)
    inferior = folds["inferior"] * _bell(draw.distance(curves["inferior"]), ridge * 0.75)
    return np.maximum(stem, np.maximum(superior, inferior))


def _knobs(draw: _Canvas, anatomy: Anatomy, bowl_cover: np.ndarray) -> np.ndarray:
    """What rises round and in the bowl: tragus, antitragus and the root of the helix."""
    curves, folds = anatomy.curves, anatomy.folds
    x, y = draw.grid()
    flap = _blob(x, y, curves["tragus"][25] + (0.045, 0.01), 0.045, 0.075) * (1 - bowl_cover)
    bump = _bell(draw.distance(curves["antitragus"][12:]), 0.032) * (1 - 0.5 * bowl_cover)
    root = _bell(draw.distance(curves["crus"]), 0.026) * (bowl_cover * 0.9 + 0.1)
    root = root * step(x, curves["crus"][-1, 0], curves["crus"][12, 0])
    return folds["tragus"] * flap + folds["antitragus"] * bump + folds["crus"] * root


def _bowl(draw: _Canvas, depth: np.ndarray, bowl_cover: np.ndarray) -> np.ndarray:
    """How far the concha sinks: a steep wall, then a round floor."""
    inwards = draw.inside(bowl_cover)
    return depth * bowl_cover * (0.55 * (1 - np.exp(-inwards / 0.022)) + 0.45 * step(inwards, 0, 0.13))


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
