"""What people wear at their ears: earrings, and the arms of glasses."""

import cv2
import numpy as np

from data.render.blending import to_fixed
from data.render.skin import Light


def wear_glasses(
    rng: np.random.Generator, image: np.ndarray, scale_px: float, to_px, light: Light
) -> np.ndarray:
    """Image with the arm of a pair of glasses, which runs from the face to the root of the helix."""
    drop = rng.normal(0, 0.03)
    arm = to_px(
        np.array([(2.6, 0.05 + drop * 3), (1.6, 0.08 + drop), (0.86, 0.15), (0.70, 0.165), (0.60, 0.20)])
    )
    cover = np.zeros(image.shape[:2], np.uint8)
    cv2.polylines(
        cover,
        to_fixed(arm)[None],
        False,
        255,
        max(int(round(rng.uniform(0.02, 0.07) * scale_px)), 1),
        cv2.LINE_AA,
        4,
    )
    mask = (cover.astype(np.float32) / 255)[..., None]
    shadow = np.roll(cv2.GaussianBlur(mask, (0, 0), 0.02 * scale_px), int(0.03 * scale_px), 0)[..., None]
    colour = rng.choice(
        [rng.uniform(0.004, 0.02, 3), np.array([0.16, 0.07, 0.03]) * rng.uniform(0.3, 1), np.full(3, 0.35)]
    )
    image = image * (1 - 0.4 * shadow)
    return image + (colour.astype(np.float32) * light.colour - image) * mask


def hang_earring(
    rng: np.random.Generator, image: np.ndarray, lobe_px: np.ndarray, scale_px: float, light: Light
) -> np.ndarray:
    """Image with a stud, hoop or drop at the lobe."""
    metal = np.array([(0.85, 0.62, 0.25), (0.75, 0.76, 0.78), (0.6, 0.6, 0.62)], np.float32)[rng.integers(3)]
    kind = rng.choice(["stud", "hoop", "drop"])
    cover = np.zeros(image.shape[:2], np.uint8)
    glint = np.zeros(image.shape[:2], np.uint8)
    centre = lobe_px + rng.normal(0, 0.008, 2) * scale_px
    radius = rng.uniform(0.018, 0.04) * scale_px

    def circle(mask, at, size, value, thickness):
        cv2.circle(
            mask,
            tuple(int(round(v * 16)) for v in at),
            int(round(max(size, 0.5) * 16)),
            value,
            thickness,
            cv2.LINE_AA,
            4,
        )

    if kind == "stud":
        circle(cover, centre, radius, 255, -1)
    elif kind == "hoop":
        size = rng.uniform(0.07, 0.17) * scale_px
        circle(cover, centre + (0, size), size, 255, max(int(round(0.014 * scale_px)), 1))
    else:
        drop = centre + (0, rng.uniform(0.08, 0.2) * scale_px)
        cv2.line(
            cover,
            tuple((centre * 16).round().astype(int).tolist()),
            tuple((drop * 16).round().astype(int).tolist()),
            255,
            max(int(round(0.010 * scale_px)), 1),
            cv2.LINE_AA,
            4,
        )
        circle(cover, drop, radius * rng.uniform(1, 1.6), 255, -1)
        centre = drop
    circle(glint, centre - radius * 0.35, radius * 0.35, 255, -1)
    shade = (
        rng.uniform(0.35, 1)
        + 0.5
        * np.clip(
            (np.arange(image.shape[0], dtype=np.float32) - np.float32(centre[1])) / (-3 * np.float32(radius)),
            -0.6,
            0.9,
        )[:, None, None]
    )
    mask = (cover.astype(np.float32) / 255)[..., None]
    shadow = cv2.GaussianBlur(mask[..., 0], (0, 0), 0.012 * scale_px)[..., None]
    image = image * (1 - 0.4 * np.roll(shadow, int(0.015 * scale_px), 0))
    image = image + (metal * np.maximum(shade, 0.08) * light.colour - image) * mask
    return image + (1.2 - image) * (glint.astype(np.float32) / 255)[..., None] * (kind != "hoop")
