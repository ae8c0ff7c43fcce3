"""The camera: pose, the warp of the relief into the picture, and what lens, sensor and file do to it."""

from dataclasses import dataclass

import cv2
import numpy as np

from data.render.noise import grain
from data.render.relief import Relief

# A ray looks for the surface at least every so many ear heights along it: thinner folds could be missed.
_STRIDE = 0.04


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
        q_x = (np.arange(shape[1], dtype=np.float32) - np.float32(self.offset[0])) / np.float32(self.scale)
        q_y = (np.arange(shape[0], dtype=np.float32) - np.float32(self.offset[1])) / np.float32(self.scale)
        shift = self.centre[:2] + inverse @ self.rotation[:2, 2] * self.centre[2]
        x = np.float32(inverse[0, 0]) * q_x + np.float32(inverse[0, 1]) * q_y[:, None] + np.float32(shift[0])
        y = np.float32(inverse[1, 0]) * q_x + np.float32(inverse[1, 1]) * q_y[:, None] + np.float32(shift[1])
        return x, y

    def canvas_maps(self, relief: Relief, depth: np.ndarray, plane: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Canvas pixel seen at each picture pixel: each ray walks down until it meets the depth map."""
        _, slide = self._inverse()
        start_x, start_y = (relief.to_px(axis).astype(np.float32) for axis in plane)
        step_x, step_y = (slide * relief.scale).astype(np.float32)

        def gap(level: np.ndarray) -> np.ndarray:
            """How far the surface lies above the ray where the ray is `level` high."""
            x, y = start_x - step_x * level, start_y - step_y * level
            return cv2.remap(depth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) - level

        high, low = float(depth.max()) + 1e-3, float(depth.min()) - 1e-3
        steps = int(np.clip((high - low) * np.hypot(*slide) / _STRIDE, 12, 40))
        levels = np.linspace(high, low, steps, dtype=np.float32)
        above = np.full(start_x.shape, levels[0], np.float32)
        under = np.full(start_x.shape, levels[-1], np.float32)
        met = np.zeros(start_x.shape, bool)
        for before, level in zip(levels, levels[1:], strict=False):
            now = (gap(np.broadcast_to(level, start_x.shape)) >= 0) & ~met
            above[now], under[now] = before, level
            met |= now
        for _ in range(6):
            middle = (above + under) / 2
            inside = gap(middle) >= 0
            under, above = np.where(inside, middle, under), np.where(inside, above, middle)
        return start_x - step_x * under, start_y - step_y * under

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
    image = np.power(np.clip(linear, 0, None, dtype=np.float32), np.float32(1 / 2.2))
    if rng.random() < 0.04 * strength:
        image = np.repeat(image @ np.float32([[0.3], [0.59], [0.11]]), 3, axis=2)
    grey = image @ np.float32([[0.3], [0.59], [0.11]])
    image = grey + (image - grey) * np.float32(max(1.06 + 0.13 * rng.standard_normal() * strength, 0.4))
    image = image + (image > 0.8) * (
        -0.5 * np.square(np.maximum(image - 0.8, 0))
    )  # shoulder instead of hard clipping
    contrast = 1.1 + 0.10 * rng.standard_normal() * strength
    image = (image - 0.45) * contrast + 0.45 + 0.025 * rng.standard_normal() * strength
    blur = float(rng.choice([0, 0.5, 0.9, 1.5], p=[0.35, 0.35, 0.2, 0.1])) * strength * enlarged
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    if rng.random() < 0.07 * strength:
        image = _motion_blur(image, rng, enlarged)
    level = abs(rng.normal(0, 0.007)) * strength
    noise = grain(rng, image.shape[:2])[..., None] * level + grain(rng, image.shape, 0.8) * level * 0.4
    image = np.clip(np.nan_to_num(image + noise) * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.4 * strength:
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
