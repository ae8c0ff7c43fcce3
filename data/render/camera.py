"""The camera: pose of the ear, the warp of its relief into the picture, and what lens, sensor and file do to it."""

from dataclasses import dataclass

import cv2
import numpy as np

from data.render.noise import grain
from data.render.relief import Relief


@dataclass(frozen=True)
class Camera:
    """Orthographic view of ear space (ear heights, x to the face, y down, z out of the head) in pixels.

    pixel = scale * (rotation @ (point - centre))[:2] + offset; pixel centres lie at whole numbers.
    """

    rotation: np.ndarray
    scale: float
    centre: np.ndarray
    offset: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) in ear space -> (N, 2) px."""
        return self.scale * ((points - self.centre) @ self.rotation.T)[:, :2] + self.offset

    def project_plane(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) on the cheek plane z = 0 -> (N, 2) px."""
        return self.project(np.column_stack([points, np.zeros(len(points))]))

    def plane_grid(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel's ray meets the cheek plane z = 0: x and y (h, w) float32 in ear heights."""
        inverse, _ = self._inverse()
        q_x = (np.arange(shape[1], dtype=np.float32) - self.offset[0]) / self.scale
        q_y = ((np.arange(shape[0], dtype=np.float32) - self.offset[1]) / self.scale)[:, None]
        shift = self.centre[:2] + inverse @ self.rotation[:2, 2] * self.centre[2]
        x = np.float32(inverse[0, 0]) * q_x + np.float32(inverse[0, 1]) * q_y + np.float32(shift[0])
        y = np.float32(inverse[1, 0]) * q_x + np.float32(inverse[1, 1]) * q_y + np.float32(shift[1])
        return x, y

    def canvas_maps(self, relief: Relief, depth: np.ndarray, plane: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Canvas pixel seen at each picture pixel, by fixed-point iteration over the depth map."""
        inverse, slide = self._inverse()
        map_x, map_y = relief.to_px(plane[0]).astype(np.float32), relief.to_px(plane[1]).astype(np.float32)
        start_x, start_y = map_x, map_y
        step = (slide * relief.scale).astype(np.float32)
        for _ in range(4):
            z = cv2.remap(depth, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            map_x, map_y = start_x - step[0] * z, start_y - step[1] * z
        return map_x, map_y

    def _inverse(self) -> tuple[np.ndarray, np.ndarray]:
        inverse = np.linalg.inv(self.rotation[:2, :2])
        return inverse, inverse @ self.rotation[:2, 2]


def pose(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation (3, 3) from angles in radians; a positive yaw looks at the ear from the face's side."""
    cos, sin = np.cos, np.sin
    turn = np.array([[cos(yaw), 0, -sin(yaw)], [0, 1, 0], [sin(yaw), 0, cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, cos(pitch), -sin(pitch)], [0, sin(pitch), cos(pitch)]])
    tilt = np.array([[cos(roll), -sin(roll), 0], [sin(roll), cos(roll), 0], [0, 0, 1]])
    return tilt @ nod @ turn


def expose(linear: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Linear light (H, W, 3) -> sRGB uint8 as a camera would give it: tone, blur, noise and compression."""
    enlarged = min(max(linear.shape[:2]) / 192, 4 if linear.shape[0] == linear.shape[1] else 1.5)
    image = np.power(np.clip(linear, 0, None), np.float32(1 / 2.2))
    if rng.random() < .04 * strength:
        image = np.repeat(image @ np.float32([[.3], [.59], [.11]]), 3, axis=2)
    grey = image @ np.float32([[.3], [.59], [.11]])
    image = grey + (image - grey) * np.float32(max(1 + .18 * rng.standard_normal() * strength, .4))
    image = image + (image > .8) * (-.5 * np.square(np.maximum(image - .8, 0)))  # shoulder instead of hard clipping
    contrast = 1 + .10 * rng.standard_normal() * strength
    image = (image - .45) * contrast + .45 + .025 * rng.standard_normal() * strength
    blur = rng.choice([0, .5, .9, 1.5], p=[.35, .35, .2, .1]) * strength * enlarged
    if blur > .3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    if rng.random() < .07 * strength:
        image = _motion_blur(image, rng, enlarged)
    level = abs(rng.normal(0, .007)) * strength
    noise = grain(rng, image.shape[:2])[..., None] * level + grain(rng, image.shape, .8) * level * .4
    image = np.clip(np.nan_to_num(image + noise) * 255 + .5, 0, 255).astype(np.uint8)
    if rng.random() < .4 * strength:
        quality = int(rng.uniform(35, 90))
        packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(image)


def _motion_blur(image: np.ndarray, rng: np.random.Generator, enlarged: float) -> np.ndarray:
    length = max(int(rng.uniform(3, 6) * enlarged), 2)
    kernel = np.zeros((2 * length + 1,) * 2, np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    start, stop = np.round(length - reach).astype(int), np.round(length + reach).astype(int)
    cv2.line(kernel, tuple(map(int, start)), tuple(map(int, stop)), 1.0, 1)
    return cv2.filter2D(image, -1, kernel / kernel.sum())
