"""The light of a photograph, and the colours of things in it. Colours are linear, 0..1, three values."""

from dataclasses import dataclass

import numpy as np

# Shares of photographs in strongly coloured light, and with a light behind the head.
_COLOURED, _BACKLIT = 0.06, 0.12


@dataclass(frozen=True)
class Light:
    """Direction (3,) towards the light in camera space, its colour (3,), and the share of ambient light.

    `behind` is the strength of a second light behind the head, which shines through thin parts.
    """

    direction: np.ndarray
    colour: np.ndarray
    ambient: float
    hardness: float
    behind: float


def draw_light(rng: np.random.Generator) -> Light:
    """A light from any side, mostly white, now and then coloured or from behind."""
    side = rng.uniform(0, 2 * np.pi)
    tilt = rng.uniform(0.25, 1.2)
    direction = np.array([np.cos(side) * np.sin(tilt), np.sin(side) * np.sin(tilt) - 0.35, np.cos(tilt)])
    warmth = rng.normal(0, 0.09)
    colour = np.array([1 + warmth, 1 + rng.normal(0, 0.02), 1 - warmth])
    if rng.random() < _COLOURED:
        colour = colour * np.exp(rng.normal(0, 0.5, 3))
    colour = colour * np.exp(np.clip(rng.normal(0.25, 0.3), -0.8, 0.8))
    return Light(
        (direction / np.linalg.norm(direction)).astype(np.float32),
        colour.astype(np.float32),
        rng.uniform(0.10, 0.65),
        rng.uniform(0.1, 1),
        rng.uniform(0.3, 1.3) if rng.random() < _BACKLIT else 0.0,
    )


def lit(albedo: np.ndarray, light: Light) -> np.ndarray:
    """Colour (3,) of a thing that faces the camera in that light."""
    facing = max(float(light.direction[2]), 0.1)
    return np.asarray(albedo) * light.colour * (0.9 * light.ambient + 1.1 * (1 - light.ambient) * facing)


def linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB 0..255 -> linear light 0..1, float32."""
    return np.power(np.asarray(srgb, np.float32) / 255, np.float32(2.2))
