"""Plain backgrounds: one colour, graded, or two that flow into each other."""

import numpy as np

from data.render.paint.blending import over
from data.render.paint.noise import field


def background(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Linear RGB (h, w, 3), float32."""
    colour = rng.choice([0, 1, 2], p=[0.36, 0.24, 0.40])
    if colour == 0:
        base = np.array([0.8, 0.8, 0.8]) * rng.uniform(0.7, 1.3)
    elif colour == 1:
        base = np.full(3, rng.uniform(0.005, 0.05)) * rng.uniform(0.8, 1.2, 3)
    else:
        base = rng.uniform(0.03, 0.55) * np.exp(rng.normal(0, 0.22, 3))
    rows, columns = shape
    tilt = rng.normal(0, 0.35, 2)
    ramp = (
        1
        + tilt[0] * np.linspace(-0.5, 0.5, columns, dtype=np.float32)
        + tilt[1] * np.linspace(-0.5, 0.5, rows, dtype=np.float32)[:, None]
    )
    image = ramp.astype(np.float32)[..., None] * base.astype(np.float32)
    if colour == 2:
        other = rng.uniform(0.02, 0.6) * np.exp(rng.normal(0, 0.3, 3)).astype(np.float32)
        mix = 1 / (1 + np.exp(-3 * field(rng, shape, rng.uniform(1, 6), 2) * rng.uniform(0.3, 2)))
        image = over(image, other, mix)
    return np.maximum(image, 0).astype(np.float32)
