"""Augmentation: the only module that knows albumentations.

Geometry moves pixels (points, boxes and target follow), photometry does not. Each call is seeded by itself,
since workers of a data loader would otherwise all draw the same, and so that a view can be rebuilt from its
seed.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from data import crops
from data.augmentation import FrameConfig, GeometryConfig, PhotometryConfig
from data.images import GREY


class Geometry:
    """Flip, turn, shift and scale a context crop and cut the view out of its middle.

    The context crop (`data.crops.context_px`) is 1.5 times as wide as the view at the same scale, so that
    turning and shifting bring in more of the photograph rather than grey corners.
    """

    def __init__(self, config: GeometryConfig, out_px: int) -> None:
        self.config, self.out_px = config, out_px

    def __call__(
        self, context_image: np.ndarray, points: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """context_image (C, C, 3) uint8, points (K, 2) in its px.

        Returns view (out_px, out_px, 3) uint8, points in view px float32, matrix (2, 3) context px -> view
        px. The matrix mirrors when its determinant is negative. Indices of points keep their places.
        """
        self._transform.set_random_seed(int(seed) % 2**32)
        drawn = self._transform(image=context_image, keypoints=_REFERENCE)
        matrix = _matrix_through(np.asarray(drawn["keypoints"], dtype=np.float64))
        return np.ascontiguousarray(drawn["image"]), crops.apply(matrix, points), matrix

    @cached_property
    def _transform(self) -> Any:
        import cv2

        albumentations = _albumentations()
        config = self.config
        # A box that moves and grows by j shifts its window by j / (1 + 2 margin) and scales it by j.
        shift = (config.shift + config.box_jitter / (1 + 2 * crops.MARGIN)) * self.out_px
        shift_percent = shift / crops.context_px(self.out_px)
        scale = config.scale + config.box_jitter
        return albumentations.Compose(
            [
                albumentations.HorizontalFlip(p=config.flip),
                albumentations.Affine(
                    scale=(1 - scale, 1 + scale),
                    translate_percent=dict.fromkeys("xy", (-shift_percent, shift_percent)),
                    rotate=(-config.rotate_deg, config.rotate_deg),
                    interpolation=cv2.INTER_LINEAR,
                    border_mode=cv2.BORDER_CONSTANT,
                    fill=GREY,
                    p=1.0,
                ),
                albumentations.CenterCrop(self.out_px, self.out_px),
            ],
            keypoint_params=albumentations.KeypointParams(format="xy", remove_invisible=False),
        )

    def __getstate__(self) -> dict[str, Any]:
        """Only what rebuilds it: the transform is built anew in each process."""
        return {"config": self.config, "out_px": self.out_px}


class Photometry:
    """Light, noise, blur, occlusion, compression, each with some probability. No pixel changes its place."""

    def __init__(self, config: PhotometryConfig) -> None:
        self.config = config

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        """image (H, W, 3) uint8 -> the same shape."""
        self._transform.set_random_seed(int(seed) % 2**32)
        return np.ascontiguousarray(self._transform(image=image)["image"])

    @cached_property
    def _transform(self) -> Any:
        return _albumentations().Compose(_photometric_steps(self.config))

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config}


class AugmentedFrame(NamedTuple):
    """A frame seen through a moved letterbox."""

    image: np.ndarray
    """(S, S, 3) uint8."""
    boxes_xyxy: np.ndarray
    """(n, 4) float32 px of the view, clipped to it."""
    kept: np.ndarray
    """(n,) int, which of the given boxes these are."""
    matrix: np.ndarray
    """(2, 3) float32, frame px -> view px."""
    flipped: bool
    """Whether the matrix mirrors."""


class FrameAugmentation:
    """Flip, scale and shift a frame into a letterbox in one resampling, then photometry. Boxes follow.

    Frames are not moved by albumentations: one exact matrix from the frame to the view avoids a second
    resampling, and distillation aligns regions by it.
    """

    def __init__(self, config: FrameConfig, out_px: int, photometry: PhotometryConfig | None = None) -> None:
        self.config, self.out_px = config, out_px
        self.photometry = None if photometry is None else Photometry(photometry)

    def __call__(self, image: np.ndarray, boxes_xyxy: np.ndarray, seed: int) -> AugmentedFrame:
        """image (H, W, 3) uint8, boxes_xyxy (N, 4) px of it."""
        rng = np.random.default_rng(seed)
        matrix, flipped = self._draw(image.shape[0], image.shape[1], rng)
        view = crops.crop(image, matrix, self.out_px)
        if self.photometry is not None:
            view = self._developed(view, matrix, image.shape[:2], int(rng.integers(2**32)))
        whole = crops.apply_to_boxes(matrix, np.asarray(boxes_xyxy, dtype=np.float32).reshape(-1, 4))
        clipped = whole.clip(0, self.out_px)
        kept = np.flatnonzero(_area(clipped) >= self.config.min_visible * _area(whole))
        return AugmentedFrame(view, clipped[kept], kept, matrix, flipped)

    def _developed(
        self, view: np.ndarray, matrix: np.ndarray, shape: tuple[int, int], seed: int
    ) -> np.ndarray:
        """Photometry within the frame; the padding round it stays the grey that it is at inference."""
        frame = crops.apply_to_boxes(matrix, np.array([0, 0, shape[1], shape[0]]))
        x1, y1, x2, y2 = np.round(frame.clip(0, self.out_px)).astype(int)
        padded = np.full_like(view, GREY)
        padded[y1:y2, x1:x2] = self.photometry(view, seed)[y1:y2, x1:x2]
        return padded

    def _draw(self, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
        config, middle = self.config, (self.out_px - 1) / 2
        scale = float(np.exp(rng.uniform(np.log(config.scale_min), np.log(config.scale_max))))
        # A smaller frame may lie anywhere in the letterbox, a larger one may show any part of itself.
        reach = (abs(scale - 1) / 2 + config.shift) * self.out_px
        shift_x, shift_y = rng.uniform(-reach, reach, 2)
        moved = np.array(
            [[scale, 0, middle * (1 - scale) + shift_x], [0, scale, middle * (1 - scale) + shift_y]]
        )
        matrix = crops.compose(moved, crops.letterbox_matrix(height, width, self.out_px))
        flipped = bool(rng.random() < config.flip)
        if flipped:
            matrix = crops.compose(crops.flip_matrix(self.out_px), matrix)
        return matrix, flipped


# Three points whose images give the matrix exactly; far apart, so that float32 costs little.
_REFERENCE = np.array([[0, 0], [1000, 0], [0, 1000]], dtype=np.float32)


def _matrix_through(moved: np.ndarray) -> np.ndarray:
    """(2, 3) float32 of the map that takes `_REFERENCE` to `moved` (3, 2)."""
    origin = moved[0]
    return np.column_stack([(moved[1] - origin) / 1000, (moved[2] - origin) / 1000, origin]).astype(
        np.float32
    )


def _photometric_steps(config: PhotometryConfig) -> list[Any]:
    """In the order in which a camera meets them: things in the way, light, lens, sensor, file."""
    albumentations = _albumentations()
    steps: list[Any] = []
    if (amount := config.occlusion) > 0:
        sides = (0.06, min(0.9, 0.06 + 0.22 * amount))
        steps.append(
            albumentations.CoarseDropout(
                num_holes_range=(1, 3),
                hole_height_range=sides,
                hole_width_range=sides,
                fill="random_uniform",
                p=min(0.9, 0.3 * amount),
            )
        )
    if (amount := config.light) > 0:
        steps += [
            # Less up than down: both act together, and light skin must not burn out to white.
            albumentations.RandomBrightnessContrast(
                (-0.22 * amount, 0.10 * amount), (-0.22 * amount, 0.15 * amount), p=0.7
            ),
            albumentations.RandomGamma((100 / (1 + 0.3 * amount), 100 * (1 + 0.3 * amount)), p=0.4),
            albumentations.HueSaturationValue(6 * amount, 22 * amount, 0, p=0.4),
        ]
    if (amount := config.blur) > 0:
        longest = 3 + 2 * round(2 * amount)
        steps.append(
            albumentations.OneOf(
                [
                    albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.4, 0.4 + 1.3 * amount)),
                    # Shifted kernels and one-sided directions would move the ear away from its points.
                    albumentations.MotionBlur((3, longest), allow_shifted=False, direction_range=(0, 0)),
                    albumentations.OneOf(_coarser(1 / (1 + 1.8 * amount))),
                ],
                p=min(0.9, 0.35 * amount),
            )
        )
    if (amount := config.noise) > 0:
        steps.append(
            albumentations.GaussNoise(std_range=(0.005, 0.005 + 0.03 * amount), p=min(0.9, 0.35 * amount))
        )
    if (amount := config.jpeg) > 0:
        worst = max(10, round(95 - 60 * amount))
        steps.append(albumentations.ImageCompression(quality_range=(worst, 95), p=min(0.9, 0.35 * amount)))
    return steps


def _coarser(least_scale: float) -> list[Any]:
    """Fewer pixels, scaled up again, in eighths of the size: where albumentations has to round the size, it
    moves the picture by up to a pixel."""
    import cv2

    ways = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
    eighths = [e for e in range(1, 8) if e / 8 >= least_scale] or [7]
    return [_albumentations().Downscale((eighth / 8, eighth / 8), ways) for eighth in eighths]


def _albumentations() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for a newer version
    import albumentations

    return albumentations


def _area(boxes_xyxy: np.ndarray) -> np.ndarray:
    return (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).prod(axis=-1)
