"""What lens, sensor and file do to a picture: tone, blur, low resolution, noise, compression."""

import cv2
import numpy as np

from data.render.paint.noise import grain

# Shares of pictures without colour, of those enlarged from fewer pixels, and of those lit so brightly, as in
# a studio, that light skin runs into a white background.
_COLOURLESS, _COARSE, _HIGH_KEY = 0.10, 0.28, 0.12


def expose(linear: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Linear light (H, W, 3) -> sRGB uint8 as a camera would give it: tone, blur, noise and compression."""
    enlarged = min(max(linear.shape[:2]) / 192, 4 if linear.shape[0] == linear.shape[1] else 1.5)
    image = np.power(np.clip(linear, 0, None, dtype=np.float32), np.float32(1 / 2.2))
    if rng.random() < _COLOURLESS * strength:
        image = np.repeat(image @ np.float32([[0.3], [0.59], [0.11]]), 3, axis=2)
        image = image * np.exp(rng.normal(0, 0.05, 3) * (rng.random() < 0.3)).astype(np.float32)
    image = image * np.exp(rng.normal(0, 0.03 * strength, 3)).astype(np.float32)  # white balance
    grey = image @ np.float32([[0.3], [0.59], [0.11]])
    image = grey + (image - grey) * np.float32(max(1.0 + 0.14 * rng.standard_normal() * strength, 0.4))
    if rng.random() < _HIGH_KEY * strength:
        image = image * np.float32(rng.uniform(1.1, 1.45))
    image = image + (image > 0.8) * (
        -0.5 * np.square(np.maximum(image - 0.8, 0))
    )  # shoulder instead of hard clipping
    contrast = 1.1 + 0.10 * rng.standard_normal() * strength
    image = (image - 0.45) * contrast + 0.45 + 0.025 * rng.standard_normal() * strength
    blur = float(rng.choice([0, 0.5, 0.9, 1.5], p=[0.45, 0.3, 0.17, 0.08])) * strength * enlarged
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    if rng.random() < 0.06 * strength:
        image = _motion_blur(image, rng, enlarged)
    if rng.random() < _COARSE * strength:
        image = _enlarged(image, rng.uniform(1.4, 4.5) ** (1 / np.sqrt(enlarged)))
    level = abs(rng.normal(0, 0.009)) * strength
    noise = grain(rng, image.shape[:2])[..., None] * level + grain(rng, image.shape, 0.8) * level * 0.4
    image = np.clip(np.nan_to_num(image + noise) * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.5 * strength:
        quality = int(rng.uniform(25, 90))
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


def _enlarged(image: np.ndarray, factor: float) -> np.ndarray:
    """The picture as it looks when it had `factor` times fewer pixels a side."""
    height, width = image.shape[:2]
    small = (max(int(width / factor), 16), max(int(height / factor), 16))
    image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
