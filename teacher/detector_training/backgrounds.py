"""Windows without an ear, cut from the same photographs: they teach EarDetector to say that there is none."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch

from data.boxes import area, intersection, iou
from data.crops import MARGIN, crop, crop_matrix
from data.images import read_image
from data.manifest import Manifest

MAX_IOU = 0.15  # with the window of any ear
MAX_COVER = 0.35  # of any ear's box: a fragment is background, most of an ear is not
SIDE_RANGE = (0.5, 1.25)  # of the window over that of the photograph's ears
FREE_SIDE_RANGE = (0.2, 1.0)  # over the shorter side of a photograph that holds no ear
TRIES = 60


class BackgroundCrops:
    """At most `count` crops without an ear, spread over the photographs of a manifest and its images
    without ears.

    Cut once and kept; each draw is flipped by chance and gets the photometric augmentation. The items have
    the keys of labelled ears, with nothing annotated. Photographs whose ears leave no room contribute none:
    look at `len`.
    """

    def __init__(
        self,
        manifest: Manifest,
        num_landmarks: int,
        out_px: int,
        count: int,
        seed: int,
        photometry: Any = None,
    ) -> None:
        """photometry: (image, seed) -> image, uint8, or None."""
        self.num_landmarks, self.photometry, self.seed = num_landmarks, photometry, seed
        self.crops = _cut(manifest, out_px, count, np.random.default_rng([seed, 1]))

    def __len__(self) -> int:
        return len(self.crops)

    def view(self, index: int, draw: int) -> dict[str, Any]:
        """Crop `index` in its `draw`-th appearance; the same arguments give the same bytes."""
        rng = np.random.default_rng([self.seed, index, draw])
        image = self.crops[index]
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
        if self.photometry is not None:
            image = self.photometry(image, int(rng.integers(2**31)))
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "points_px": torch.full((self.num_landmarks, 2), float("nan")),
            "visibility": torch.zeros(self.num_landmarks, dtype=torch.uint8),
            "box_xyxy": torch.full((4,), float("nan")),
            "matrix": torch.zeros(2, 3),
            "is_ear": torch.tensor(0.0),
        }


def draw_window(
    image_shape: tuple[int, ...], boxes_xyxy: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """A square inside the image, (4,) xyxy px, that shows no ear; None where `TRIES` draws found none.

    image_shape: (H, W, ...); boxes_xyxy: (n, 4) px, the boxes of all ears in the image.
    """
    height, width = image_shape[:2]
    windows = np.array([_window(box) for box in boxes_xyxy]).reshape(-1, 4)
    sides = windows[:, 2] - windows[:, 0]
    for _ in range(TRIES):
        if len(sides):
            side = rng.choice(sides) * rng.uniform(*SIDE_RANGE)
        else:
            side = min(height, width) * rng.uniform(*FREE_SIDE_RANGE)
        if not 2 <= side <= min(height, width):
            continue
        x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
        window = np.array([x, y, x + side, y + side])
        if _shows_no_ear(window, windows, boxes_xyxy):
            return window.astype(np.float32)
    return None


def _cut(manifest: Manifest, out_px: int, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Up to `count` crops (out_px, out_px, 3) uint8, equally many from each photograph in random order."""
    boxes: dict[str, list[np.ndarray]] = defaultdict(list)
    for path, box in zip(manifest.image_paths, manifest.boxes_xyxy, strict=True):
        boxes[str(path)].append(box)
    paths = rng.permutation([*boxes, *(str(path) for path in manifest.empty_images)])
    share = -(-count // max(len(paths), 1))
    crops: list[np.ndarray] = []
    for path in paths:
        if len(crops) >= count:
            break
        image = read_image(path)
        ears = np.array(boxes.get(path, [])).reshape(-1, 4)
        windows = (draw_window(image.shape, ears, rng) for _ in range(share))
        crops += [crop(image, crop_matrix(w, out_px, margin=0.0), out_px) for w in windows if w is not None]
    return crops[:count]


def _window(box_xyxy: np.ndarray) -> np.ndarray:
    centre = (box_xyxy[:2] + box_xyxy[2:]) / 2
    half = max(box_xyxy[2:] - box_xyxy[:2]) * (0.5 + MARGIN)
    return np.concatenate((centre - half, centre + half))


def _shows_no_ear(window: np.ndarray, ear_windows: np.ndarray, boxes_xyxy: np.ndarray) -> bool:
    cover = intersection(window, boxes_xyxy) / area(boxes_xyxy)
    return bool((iou(window, ear_windows) <= MAX_IOU).all() and (cover <= MAX_COVER).all())
