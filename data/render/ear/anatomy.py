"""An identity's ear: the anatomical curves as splines, and how strongly each fold is raised.

Coordinates are ear heights: y runs from 0 (top of the helix) to 1 (bottom of the lobe), x from the back of
the ear (0) to the face (about 0.6). The template was placed on the mean shape of `data.landmarks_17`.
"""

from dataclasses import dataclass

import numpy as np

from data.render.ear.labelling import Habit, label_curves
from data.render.paint.curves import spline

# Templates in box units, face to the right: x is multiplied by the ear's width afterwards.
_RIM = [
    (0.745, 0.135),
    (0.68, 0.065),
    (0.55, 0.017),
    (0.41, 0.0),
    (0.29, 0.018),
    (0.16, 0.07),
    (0.065, 0.155),
    (0.01, 0.27),
    (0.012, 0.39),
    (0.06, 0.50),
    (0.14, 0.60),
    (0.24, 0.70),
    (0.36, 0.82),
    (0.46, 0.92),
    (0.60, 0.985),
    (0.74, 0.995),
    (0.87, 0.965),
    (0.96, 0.90),
]
_INNER = [
    (0.71, 0.415),
    (0.755, 0.36),
    (0.755, 0.285),
    (0.705, 0.205),
    (0.61, 0.135),
    (0.47, 0.098),
    (0.33, 0.105),
    (0.215, 0.165),
    (0.155, 0.265),
    (0.16, 0.385),
    (0.21, 0.50),
    (0.29, 0.615),
    (0.39, 0.715),
]
_ATTACHMENT = [
    (0.96, 0.90),
    (1.01, 0.80),
    (1.01, 0.66),
    (0.99, 0.50),
    (0.95, 0.36),
    (0.87, 0.22),
    (0.745, 0.135),
]
_TRAGUS = [(0.825, 0.425), (0.795, 0.455), (0.755, 0.505), (0.775, 0.575), (0.825, 0.655), (0.815, 0.70)]
_ANTITRAGUS = [(0.815, 0.70), (0.755, 0.705), (0.70, 0.665), (0.645, 0.640), (0.585, 0.655)]
_CONCHA = [
    (0.585, 0.655),
    (0.50, 0.63),
    (0.425, 0.56),
    (0.395, 0.475),
    (0.43, 0.395),
    (0.52, 0.345),
    (0.66, 0.325),
]
_CRUS = [(0.80, 0.30), (0.785, 0.36), (0.72, 0.415), (0.645, 0.455), (0.575, 0.475)]
_STEM = [(0.57, 0.735), (0.46, 0.70), (0.365, 0.61), (0.315, 0.51), (0.305, 0.42), (0.335, 0.345)]
_SUPERIOR = [(0.335, 0.345), (0.375, 0.275), (0.43, 0.21), (0.49, 0.155)]
_INFERIOR = [(0.335, 0.345), (0.42, 0.30), (0.53, 0.28), (0.68, 0.28)]
_CANAL = [(0.765, 0.56)]
_LOBE = [(0.66, 0.86)]


@dataclass(frozen=True)
class Anatomy:
    """Curves (N, 2) in ear heights, the 17 landmarks on them (17, 2), and the strength of each fold."""

    curves: dict[str, np.ndarray]
    landmarks: np.ndarray
    folds: dict[str, float]

    @property
    def outline(self) -> np.ndarray:
        """Closed outline of the ear (N, 2): the rim, then back along the attachment to the face."""
        return np.concatenate([self.curves["rim"], self.curves["attachment"][1:-1]])


def draw_anatomy(rng: np.random.Generator, habit: Habit = "fractions") -> Anatomy:
    """A random ear, its points set as `habit` has it. All that is drawn here belongs to the identity and
    stays the same in its photographs.
    """
    shape = {name: np.array(points, np.float64) for name, points in _TEMPLATES.items()}
    _vary_folds(shape, rng)
    _vary_lobe(shape, rng)
    width = float(np.clip(rng.normal(0.64, 0.06), 0.5, 0.8))
    warp = _smooth_warp(rng)
    shape = {name: warp(points) * (width, 1.0) for name, points in shape.items()}
    curves = {name: spline(points) if len(points) > 2 else points for name, points in shape.items()}
    top, bottom = curves["rim"][:, 1].min(), curves["rim"][:, 1].max()
    curves = {name: (curve - (0, top)) / (bottom - top) for name, curve in curves.items()}
    curves["bowl"] = np.concatenate([curves["tragus"], curves["antitragus"][1:], curves["concha"][1:]])
    return Anatomy(curves, label_curves(curves, habit), _folds(rng))


_TEMPLATES = {
    "rim": _RIM,
    "inner": _INNER,
    "attachment": _ATTACHMENT,
    "tragus": _TRAGUS,
    "antitragus": _ANTITRAGUS,
    "concha": _CONCHA,
    "crus": _CRUS,
    "stem": _STEM,
    "superior": _SUPERIOR,
    "inferior": _INFERIOR,
    "canal": _CANAL,
    "lobe": _LOBE,
}


def _vary_folds(shape: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Changes width and tip of the helix, the concha, tragus and antitragus of `shape` in place."""
    helix = rng.uniform(0.62, 1.32)
    partners = np.array(
        [
            (0.80, 0.36),
            (0.80, 0.36),
            (0.84, 0.26),
            (0.76, 0.14),
            (0.60, 0.025),
            (0.45, 0.0),
            (0.29, 0.02),
            (0.14, 0.08),
            (0.02, 0.25),
            (0.02, 0.40),
            (0.09, 0.53),
            (0.18, 0.645),
            (0.29, 0.755),
        ]
    )
    keep = np.array([1, 1, 1, 0.9, 0.5, 0.1, 0, 0, 0, 0, 0.15, 0.5, 1])[:, None]
    shape["inner"] += (shape["inner"] - partners) * (helix - 1) * (1 - keep)
    tip = np.clip(rng.normal(0, 0.022), -0.045, 0.045)
    shape["rim"][4:8] += np.outer([0.4, 1, 0.8, 0.3], [-tip, -tip * 0.7])
    shape["inner"][6:9] += np.outer([0.7, 0.8, 0.3], [-tip, -tip * 0.7])
    tubercle = max(rng.normal(0, 0.026), 0)
    shape["inner"][7] += (tubercle, tubercle * 0.6)
    bowl = rng.normal(1, 0.09, 2)
    centre = np.array([0.66, 0.50])
    for name in ("concha", "antitragus"):
        fade = np.linspace(0, 1, 5)[:, None] if name == "antitragus" else 1
        shape[name] += (shape[name] - centre) * (bowl - 1) * fade
    for name in ("stem", "superior", "inferior"):
        shape[name] += (shape[name] - centre) * (bowl - 1) * 0.8
    shape["tragus"][1:4] += np.outer([0.5, 1, 0.6], [rng.normal(0, 0.018), rng.normal(0, 0.012)])
    lift = rng.normal(0, 0.012)
    shape["antitragus"][2:4] += np.outer([0.6, 1], [rng.normal(0, 0.012), lift])
    spread = rng.normal(0, 0.03)
    shape["superior"] += np.outer([0, 0.3, 0.7, 1], [spread, 0])
    shape["crus"][2:] += np.outer([0, 0.5, 1], [rng.normal(0, 0.03), rng.normal(0, 0.012)])


def _vary_lobe(shape: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """A lobe between attached (runs into the cheek) and free (hangs below its attachment), in place."""
    free = rng.beta(1.6, 1.3)
    length = rng.normal(0, 0.038)
    rim = shape["rim"]
    rim[13:17] += np.outer([0.4, 1, 1, 0.7], [0, length + 0.012 * free])
    rim[16] += (0.02 * free, 0.015 * free)
    rim[17] += (0.005, 0.035 - 0.075 * free)
    rim[15] += (0.0, 0.01 - 0.012 * free)
    shape["attachment"][0] = rim[17]
    full = rng.normal(0, 0.028)
    rim[12:15] += np.outer([0.5, 1, 0.6], [-full, full * 0.3])


def _smooth_warp(rng: np.random.Generator):
    """A low-frequency random displacement of the plane, so that all curves bend together."""
    frequency = rng.uniform(0.5, 1.5, (4, 2)) * rng.choice([-1, 1], (4, 2))
    phase = rng.uniform(0, 2 * np.pi, 4)
    amplitude = rng.normal(0, 1, (4, 2)) * (0.0145, 0.011)

    def warp(points: np.ndarray) -> np.ndarray:
        waves = np.sin(2 * np.pi * points @ frequency.T * 0.8 + phase)
        return points + waves @ amplitude

    return warp


def _folds(rng: np.random.Generator) -> dict[str, float]:
    """Heights and widths in ear heights."""
    return {
        "helix": rng.uniform(0.035, 0.08),
        "roll": rng.uniform(0.030, 0.045),
        "stem": rng.uniform(0.02, 0.068),
        "superior": rng.uniform(0.004, 0.05),
        "inferior": rng.uniform(0.025, 0.050),
        "ridge": rng.uniform(0.036, 0.058),
        "bowl": rng.uniform(0.09, 0.145),
        "crus": rng.uniform(0.025, 0.05),
        "tragus": rng.uniform(0.035, 0.065),
        "antitragus": rng.uniform(0.02, 0.045),
        "lobe": rng.uniform(0.015, 0.035),
        "protrusion": rng.triangular(0.05, 0.2, 0.55),
        "scapha": rng.uniform(0.0, 0.02),
    }
