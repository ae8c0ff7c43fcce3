"""The camera: pose, and the warp of the relief into the picture."""

from dataclasses import dataclass

import cv2
import numpy as np

from data.render.ear.relief import Relief

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
        steps = int(np.clip((high - low) * np.hypot(*slide) / _STRIDE, 12, 160))
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
