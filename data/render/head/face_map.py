"""Where the features of a face lie in the picture, from profile to full view, and how they look."""

from dataclasses import dataclass

import numpy as np

# Where things lie: longitudes in radians from the middle of the face, heights in ear heights below the
# middle of the ear. From average adult faces, an ear being 63 mm high.
EYE = (0.41, -0.20)
NOSE_TIP, NOSE_BASE, MOUTH, CHIN = 0.30, 0.43, 0.80, 1.42


@dataclass(frozen=True)
class FaceMap:
    """From places on a head to px. centre (2,) and radii (2,) px of the head, px of an ear height, `turn`:
    the face's angle from the camera in radians (0 full face, pi / 2 profile), `level`: px row of height 0.
    """

    centre: np.ndarray
    radii: np.ndarray
    unit: float
    turn: float
    level: float

    def to_px(self, longitude, height, out=1.0) -> np.ndarray:
        """(N, 2) px of places `out` times as far from the head's axis as its surface.

        What lies behind the horizon comes to lie on it.
        """
        longitude, height, out = np.broadcast_arrays(
            np.asarray(longitude, np.float64), np.asarray(height, np.float64), np.asarray(out, np.float64)
        )
        row = self.level + height * self.unit
        tall = np.clip(np.abs(row - self.centre[1]) / self.radii[1], 0, 0.95)
        wide = np.power(1 - np.power(tall, 2.6), 1 / 2.6) * self.radii[0]
        angle = np.clip(longitude + self.turn, -np.pi / 2, np.pi / 2)
        return np.column_stack([self.centre[0] + wide * out * np.sin(angle), row])

    def shows(self, longitude: float) -> bool:
        return abs(longitude + self.turn) < np.pi / 2 - 0.06


@dataclass(frozen=True)
class Looks:
    """How a face is made up on this photograph; lengths in ear heights, the rest strengths 0..1."""

    eye_open: float
    gaze: tuple[float, float]
    iris: np.ndarray
    brow: float
    makeup: float
    lips: float
    mouth_open: float
    smile: float
    beard: float
    age: float
    nose: float


_IRISES = np.array([(0.05, 0.02, 0.01), (0.10, 0.045, 0.015), (0.12, 0.20, 0.30), (0.13, 0.17, 0.08)])


def draw_looks(rng: np.random.Generator, bearded: bool) -> Looks:
    """A random face; only `bearded` people may have stubble or a beard."""
    beard = rng.choice([0, rng.uniform(0.1, 0.45), rng.uniform(0.6, 1)], p=[0.4, 0.35, 0.25])
    return Looks(
        eye_open=float(rng.choice([0, rng.uniform(0.05, 0.12)], p=[0.12, 0.88])),
        gaze=(rng.normal(0, 0.25), rng.normal(0, 0.12)),
        iris=_IRISES[rng.integers(len(_IRISES))] * rng.uniform(0.5, 1.4),
        brow=rng.uniform(0.02, 0.05),
        makeup=0.0 if bearded else rng.beta(0.7, 1.1),
        lips=rng.uniform(0.03, 0.09),
        mouth_open=float(rng.choice([0, rng.uniform(0.03, 0.10), rng.uniform(0.1, 0.4)], p=[0.6, 0.3, 0.1])),
        smile=rng.normal(0.02, 0.04),
        beard=float(beard) if bearded else 0.0,
        age=rng.beta(1.0, 1.6),
        nose=rng.uniform(1.10, 1.24),
    )
