"""Glasses: rims and lenses on the face, and the arm that runs over the ear."""

import numpy as np

from data.render.ear.camera import Camera
from data.render.head.face_map import EYE, FaceMap
from data.render.head.head_plan import HeadPlan
from data.render.head.outfit import Outfit
from data.render.paint.brush import Brush
from data.render.paint.curves import spline
from data.render.paint.light import Light, lit

# Longitude where rim and arm meet, and how far the glasses stand before the face.
_HINGE, _OUT = 0.76, 1.06


def draw_rims(brush: Brush, face: FaceMap, outfit: Outfit, light: Light) -> None:
    """Both rims with their bridge, in place on the lit picture."""
    rng, unit = outfit.rng(), face.unit
    wide, tall = rng.uniform(0.26, 0.31), rng.uniform(0.20, 0.30)
    thick = rng.uniform(0.02, 0.06) * unit
    square = rng.uniform(2, 4)
    dark = rng.random() < 0.25
    frame = lit(outfit.colour, light)
    angle = np.linspace(0, 2 * np.pi, 28)

    def power(values: np.ndarray) -> np.ndarray:
        return np.sign(values) * np.abs(values) ** (2 / square)

    for side in (-1, 1):
        if not face.shows(side * EYE[0]):
            continue
        rim = face.to_px(
            side * EYE[0] + wide * power(np.cos(angle)), EYE[1] + 0.03 + tall * power(np.sin(angle)), _OUT
        )
        brush.fill(rim, 0.02 if dark else 0.9, 0.01 * unit, 0.85 if dark else 0.10)
        brush.stroke(rim + (0, 0.05 * unit), 0.7, thick, 0.03 * unit, tint=True)
        brush.stroke(rim, frame, thick)
        glare = face.to_px(side * EYE[0] + np.array([-0.14, 0.02]), EYE[1] + np.array([0.1, -0.12]), _OUT)
        if rng.random() < 0.4:
            brush.stroke(glare, 1.0, 0.07 * unit, 0.03 * unit, 0.35)
        hinge = face.to_px(side * np.array([EYE[0] + wide, _HINGE, 1.0]), EYE[1] - 0.06, (_OUT, _OUT, 1.0))
        brush.stroke(hinge, frame, thick)
    bridge = face.to_px(np.linspace(-0.14, 0.14, 5), EYE[1] + np.array([0, -0.04, -0.05, -0.04, 0]), 1.08)
    brush.stroke(bridge, frame, thick)


def draw_arm(brush: Brush, plan: HeadPlan, camera: Camera, outfit: Outfit, light: Light) -> None:
    """The arm from the face to the root of the helix, where it goes behind the ear, in place."""
    rng, unit = outfit.rng(), camera.scale
    thick = rng.uniform(0.025, 0.075) * unit
    root = camera.project_plane(np.array([(0.86, 0.13), (0.70, 0.135), (0.56, 0.13)]))
    angle = min((1 - plan.front) * np.pi / 2 - _HINGE, np.pi / 2)
    hinge = plan.centre[0] + _OUT * plan.radii[0] * np.sin(angle)
    start = camera.offset + np.array([hinge, EYE[1] - 0.06]) * unit
    if start[0] < root[0, 0]:  # a full face hides its arms behind the rims
        return
    path = spline(np.vstack([start, (start + root[0]) / 2, root]), 6)
    frame = lit(outfit.colour, light)
    brush.stroke(path + (0, 0.04 * unit), 0.6, thick, 0.02 * unit, 0.8, tint=True)
    brush.stroke(path, frame, thick)
    brush.stroke(path - (0, 0.008 * unit), frame * 1.3 + 0.05, 0.3 * thick, 0, 0.6)
