"""Skin: its colour, and how light falls on an ear's relief."""

from dataclasses import dataclass

import cv2
import numpy as np

from data.render.ear.relief import Relief
from data.render.paint.blending import over, step
from data.render.paint.light import Light, linear
from data.render.paint.noise import field, grain

# sRGB tones from light to dark, picked by eye.
_TONES = np.array(
    [
        (238, 200, 182),
        (232, 183, 160),
        (222, 168, 140),
        (203, 148, 117),
        (174, 119, 90),
        (134, 88, 65),
        (96, 62, 47),
        (70, 46, 37),
    ],
    np.float32,
)

# How far red, green and blue light wrap round a fold: skin scatters red furthest.
_WRAP = (0.34, 0.20, 0.15)


@dataclass(frozen=True)
class Skin:
    """An identity's skin. `albedo` (3,) linear; `depth` 0 light to 1 dark; the rest are strengths 0..1."""

    albedo: np.ndarray
    depth: float
    redness: float
    texture: float
    gloss: float
    freckles: float
    seed: int


def draw_skin(rng: np.random.Generator) -> Skin:
    """Skin of any tone between the lightest and the darkest, light ones more often."""
    depth = rng.beta(1.0, 1.7) * (len(_TONES) - 1)
    low = min(int(depth), len(_TONES) - 2)
    tone = _TONES[low] + (_TONES[low + 1] - _TONES[low]) * (depth - low) + rng.normal(0, (5, 5, 6))
    tone = tone + (tone @ (0.3, 0.59, 0.11) - tone) * rng.uniform(-0.02, 0.36)
    return Skin(
        linear(np.clip(tone, 20, 250)),
        float(depth / (len(_TONES) - 1)),
        rng.uniform(0.1, 1),
        rng.uniform(0.3, 1),
        rng.choice([rng.uniform(0, 0.7), rng.uniform(0.7, 1.6)], p=[0.78, 0.22]),
        rng.uniform(0.2, 0.8) * (rng.random() < 0.15),
        int(rng.integers(2**31)),
    )


# What of light that goes through an ear comes out: red, and little else.
_THROUGH = np.array([1.0, 0.20, 0.10], np.float32)


def shade_ear(relief: Relief, skin: Skin, light: Light, rotation: np.ndarray) -> np.ndarray:
    """Linear RGB (h, w, 3) of the ear on its canvas, seen by a camera of that rotation."""
    rng = np.random.default_rng([skin.seed, 1])
    to_light = (rotation.T @ light.direction).astype(np.float32)
    height = relief.height + grain(rng, relief.height.shape, 1.2) * np.float32(0.0005 * skin.texture)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=relief.scale / 8)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=relief.scale / 8)
    length = np.sqrt(1 + slope_x**2 + slope_y**2)
    facing = (to_light[2] - slope_x * to_light[0] - slope_y * to_light[1]) / length
    eye = rotation.T @ np.array([0, 0, 1.0])
    half = to_light + eye
    half = (half / np.linalg.norm(half)).astype(np.float32)
    mirror = np.clip((half[2] - slope_x * half[0] - slope_y * half[1]) / length, 0, 1)
    open_sky = _occlusion(relief)
    lit = _cast_shadow(relief, to_light, light.hardness)
    albedo = _albedo(relief, skin, rng)
    colour = np.empty((*height.shape, 3), np.float32)
    # Light bleeds through skin: red wraps further round a fold than blue, and shadows turn red.
    for channel, wrap in enumerate(_WRAP):
        diffuse = np.clip((facing + wrap) / (1 + wrap), 0, None) * (lit + (1 - lit) * wrap * 0.6)
        sky = np.power(open_sky, (0.82, 1.12, 1.25)[channel])
        colour[..., channel] = albedo[..., channel] * (
            (1 - light.ambient) * diffuse * (0.4 + 0.6 * sky) * 1.15
            + light.ambient * sky * (0.75 + 0.25 / length)
        )
    gloss = np.float32(skin.gloss * (1 - 0.45 * skin.depth)) * (
        np.float32(0.11) * np.power(mirror, 14) + np.float32(0.13) * np.power(mirror, 50)
    )
    colour += (gloss * lit * open_sky)[..., None]
    if light.behind:
        thin = relief.free * (0.35 + 0.65 * np.maximum(relief.helix, relief.lobe)) * (1 - relief.bowl)
        colour += (light.behind * (1 - 0.6 * skin.depth) * thin)[..., None] * albedo * _THROUGH
    return colour * light.colour


def surface_shade(light: Light, toward: np.ndarray) -> np.ndarray:
    """Light (..., 3) that white skin gives back; `toward` is the cosine between its normal and the light."""
    toward = np.asarray(toward, np.float32)
    shade = np.empty((*toward.shape, 3), np.float32)
    for channel, wrap in enumerate(_WRAP):  # far faster than broadcasting over a last axis of 3
        diffuse = np.maximum((toward + wrap) / (1 + wrap), 0)
        shade[..., channel] = ((1 - light.ambient) * 1.15 * diffuse + light.ambient) * light.colour[channel]
    return shade


def _albedo(relief: Relief, skin: Skin, rng: np.random.Generator) -> np.ndarray:
    """Skin colour with blood at the rim and in the bowl, blotches and freckles: (h, w, 3)."""
    shape = relief.height.shape
    blood = skin.redness * (0.15 + 0.6 * relief.helix + 0.45 * relief.bowl + 0.35 * relief.lobe)
    blood = blood + 0.22 * field(rng, shape, 5, 2) * skin.redness
    mottle = 1 + np.float32(0.035 * skin.texture) * field(rng, shape, 24, 2)
    absorb = np.array([0.10, 0.42, 0.36], np.float32)
    albedo = skin.albedo * np.exp(-np.maximum(blood, -0.3)[..., None] * absorb) * mottle[..., None]
    albedo = albedo * (1 - relief.canal * 0.55)[..., None]
    return _speckle(rng, albedo, skin, relief.scale)


def _speckle(rng: np.random.Generator, albedo: np.ndarray, skin: Skin, scale: float) -> np.ndarray:
    """Skin with its freckles and moles: (h, w, 3)."""
    shape = albedo.shape[:2]
    if skin.freckles:
        spots = step(field(rng, shape, 45 * max(shape) / scale, 1), 1.1, 2.2) * skin.freckles
        albedo = albedo * (1 - spots[..., None] * np.array([0.25, 0.42, 0.5], np.float32))
    for _ in range(int(rng.integers(0, 3)) * (rng.random() < 0.3)):
        at = tuple(int(v) for v in rng.uniform(0.2, 0.8, 2) * shape[::-1])
        mole = np.zeros(shape, np.uint8)
        cv2.circle(mole, at, max(int(rng.uniform(0.006, 0.014) * scale), 1), 255, -1, cv2.LINE_AA)
        albedo = over(albedo, skin.albedo * 0.25, mole.astype(np.float32) / 255)
    return albedo


def _occlusion(relief: Relief) -> np.ndarray:
    """Share of the sky each point sees, from how far it lies below its surroundings at three scales."""
    height = relief.height
    hidden = np.zeros_like(height)
    for sigma, weight in ((0.018, 7.0), (0.045, 4.5), (0.10, 2.2)):
        around = cv2.GaussianBlur(height, (0, 0), sigma * relief.scale, borderType=cv2.BORDER_REPLICATE)
        hidden += weight * np.maximum(around - height, -0.01)
    return np.clip(np.exp(-1.6 * hidden) * (1 - 0.5 * relief.canal), 0.04, 1.15)


def _cast_shadow(relief: Relief, to_light: np.ndarray, hardness: float) -> np.ndarray:
    """1 where the light reaches a point, towards 0 where a fold stands in its way."""
    height = relief.height
    rows, columns = height.shape
    shadow = np.zeros_like(height)
    flat = np.hypot(to_light[0], to_light[1])
    climb = max(to_light[2], 0.15) / max(flat, 0.05)
    for reach in (0.012, 0.025, 0.04, 0.06, 0.085, 0.12):
        shift = np.float32(
            [
                [1, 0, to_light[0] / max(flat, 1e-6) * reach * relief.scale],
                [0, 1, to_light[1] / max(flat, 1e-6) * reach * relief.scale],
            ]
        )
        there = cv2.warpAffine(
            height,
            shift,
            (columns, rows),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        shadow = np.maximum(shadow, there - height - climb * reach)
    soft = cv2.GaussianBlur(
        np.clip(shadow / 0.025, 0, 1), (0, 0), (0.004 + 0.012 * (1 - hardness)) * relief.scale
    )
    return 1 - np.float32(0.35 + 0.5 * hardness) * soft
