"""Augmentation: the only module that knows albumentations.

Geometry moves pixels (points, boxes and target follow), photometry does not. Each call is seeded by itself,
since workers of a data loader would otherwise all draw the same, and so that a view can be rebuilt from its
seed.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for a newer version
import albumentations

from data import crops
from data.augmentation import FrameConfig, GeometryConfig, PhotometryConfig
from data.boxes import area

TURNED_SHARE = 0.5  # of the views, where frames are turned at all
MAX_ZOOM = 3.0  # of an ear that a view is laid over, either way: beyond it pixels are only enlarged


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
                    fill=crops.GREY,
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
        return albumentations.Compose(_photometric_steps(self.config))

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config}


class AugmentedFrame(NamedTuple):
    """A square view of a frame."""

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
    """A square view of a frame in one resampling, then photometry. Boxes follow.

    The view is laid over an ear, or lies anywhere: see `FrameConfig`. Frames are not moved by albumentations:
    one exact matrix from the frame to the view avoids a second resampling, and distillation aligns regions by
    it.
    """

    def __init__(
        self, config: FrameConfig, frame_px: int, photometry: PhotometryConfig | None = None
    ) -> None:
        """frame_px: side of the letterbox that the detector is used on."""
        self.config, self.frame_px = config, frame_px
        self.photometry = None if photometry is None else Photometry(photometry)

    def side_px(self, seed: int) -> int:
        """The side of a step's views: a chip's or the letterbox's."""
        chips = np.random.default_rng(seed).random() < self.config.chips
        return min(self.config.chip_px, self.frame_px) if chips else self.frame_px

    def __call__(
        self, image: np.ndarray, boxes_xyxy: np.ndarray, seed: int, out_px: int | None = None
    ) -> AugmentedFrame:
        """image (H, W, 3) uint8, boxes_xyxy (N, 4) px of it; out_px: side of the view, the letterbox's unless
        given.
        """
        out_px = self.frame_px if out_px is None else out_px
        boxes = np.asarray(boxes_xyxy, dtype=np.float32).reshape(-1, 4)
        matrix, flipped = self._draw(image.shape[:2], boxes, out_px, np.random.default_rng([seed, 0]))
        view = crops.crop(image, matrix, out_px)
        if self.photometry is not None:
            view = self._developed(view, matrix, image.shape[:2], seed)
        turns = self.config.rotate_deg > 0
        whole = crops.apply_to_ellipses(matrix, boxes) if turns else crops.apply_to_boxes(matrix, boxes)
        clipped = whole.clip(0, out_px)
        kept = np.flatnonzero(area(clipped) >= self.config.min_visible * area(whole))
        return AugmentedFrame(view, clipped[kept], kept, matrix, flipped)

    def _developed(
        self, view: np.ndarray, matrix: np.ndarray, shape: tuple[int, int], seed: int
    ) -> np.ndarray:
        """Photometry within the frame; the padding round it stays the grey that it is at inference."""
        frame = crops.apply_to_boxes(matrix, np.array([0, 0, shape[1], shape[0]]))
        x1, y1, x2, y2 = np.round(frame.clip(0, len(view))).astype(int)
        padded = np.full_like(view, crops.GREY)
        padded[y1:y2, x1:x2] = self.photometry(view, seed)[y1:y2, x1:x2]
        return padded

    def _draw(
        self, shape: tuple[int, int], boxes_xyxy: np.ndarray, out_px: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, bool]:
        """Matrix from the frame to the view, and whether it mirrors."""
        letterbox = crops.letterbox_matrix(*shape, self.frame_px)
        if len(boxes_xyxy) and rng.random() < self.config.focus:
            box = crops.apply_to_boxes(letterbox, boxes_xyxy[rng.integers(len(boxes_xyxy))])
            moved, pivot = self._over(box, out_px, rng)
        else:
            moved, pivot = self._anywhere(out_px, rng), np.full(2, (out_px - 1) / 2)
        if self.config.rotate_deg > 0 and rng.random() < TURNED_SHARE:
            angle = np.radians(rng.uniform(-self.config.rotate_deg, self.config.rotate_deg))
            moved = crops.compose(crops.rotation_matrix(float(angle), pivot), moved)
        matrix = crops.compose(moved, letterbox)
        flipped = bool(rng.random() < self.config.flip)
        return (crops.compose(crops.flip_matrix(out_px), matrix) if flipped else matrix), flipped

    def _over(
        self, box_xyxy: np.ndarray, out_px: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ear somewhere in the view, whole, the logarithm of its longer side uniform; and its centre."""
        side_px = float((box_xyxy[2:] - box_xyxy[:2]).max())
        largest = min(self.config.ear_max * out_px, side_px * MAX_ZOOM)
        smallest = min(max(self.config.ear_min_px, side_px / MAX_ZOOM), largest)
        scale = float(np.exp(rng.uniform(np.log(smallest), np.log(largest)))) / side_px
        half = scale * side_px / 2
        place = rng.uniform(half, out_px - half, 2) - 0.5
        centre = (box_xyxy[:2] + box_xyxy[2:]) / 2 - 0.5
        return _scale_and_shift(scale, place - scale * centre), place

    def _anywhere(self, out_px: int, rng: np.random.Generator) -> np.ndarray:
        """A smaller frame may lie anywhere in the view, a larger one may show any part of itself."""
        config = self.config
        scale = float(np.exp(rng.uniform(np.log(config.scale_min), np.log(config.scale_max))))
        reach = abs(scale * self.frame_px - out_px) / 2 + config.shift * out_px
        shift = (out_px - 1) / 2 - scale * (self.frame_px - 1) / 2 + rng.uniform(-reach, reach, 2)
        return _scale_and_shift(scale, shift)


def _scale_and_shift(scale: float, shift: np.ndarray) -> np.ndarray:
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


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
    if (amount := config.grey) > 0:
        steps.append(albumentations.ToGray(p=min(0.9, 0.2 * amount)))
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
    ways = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
    eighths = [e for e in range(1, 8) if e / 8 >= least_scale] or [7]
    return [albumentations.Downscale((eighth / 8, eighth / 8), ways) for eighth in eighths]
