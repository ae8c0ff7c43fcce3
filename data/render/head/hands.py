"""Hands: a palm and five fingers with joints and nails, empty, closed or round a telephone."""

import numpy as np

from data.render.paint.brush import Brush, ellipse
from data.render.paint.curves import spline
from data.render.paint.light import Light, lit

# A hand in hand lengths: wrist at (0, 0), fingers up. Roots, lengths and widths from index to little finger.
_ROOTS = np.array([(-0.155, 0.50), (-0.05, 0.53), (0.055, 0.515), (0.15, 0.465)])
_LENGTHS = (0.41, 0.46, 0.43, 0.33)
_WIDTHS = (0.098, 0.102, 0.096, 0.082)
_PALM = np.array(
    [(-0.13, 0.0), (-0.20, 0.25), (-0.20, 0.5), (0.0, 0.57), (0.19, 0.48), (0.19, 0.2), (0.13, 0.0)]
)
_POSES = ("open", "fist", "phone", "point")


def draw_hand(
    rng: np.random.Generator,
    brush: Brush,
    wrist_px: np.ndarray,
    length_px: float,
    angle: float,
    albedo: np.ndarray,
    light: Light,
) -> None:
    """A hand at a wrist, in place; its fingers point along `angle` (radians, 0 is up)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    side = rng.choice([-1, 1])
    turn = np.array([[cosine * side, sine * side], [sine, -cosine]]) * length_px
    skin = lit(albedo, light) * rng.uniform(0.75, 1.15)
    pose = str(rng.choice(_POSES, p=[0.35, 0.2, 0.3, 0.15]))

    def to_px(points) -> np.ndarray:
        return np.asarray(points) @ turn + wrist_px

    _forearm(rng, brush, to_px, length_px, skin, light)
    palm = to_px(spline(_PALM, 6, closed=True))
    brush.fill(palm, skin * 0.5, 0.02 * length_px)
    brush.fill(palm, skin, 0.006 * length_px)
    brush.fill(to_px(ellipse((0.06, 0.22), (0.09, 0.2))), (0.82, 0.76, 0.74), 0.06 * length_px, tint=True)
    if pose == "phone":
        _phone(rng, brush, to_px, length_px, light)
    for finger in (3, 2, 1, 0):
        bent = {"open": rng.uniform(0, 0.35), "fist": rng.uniform(0.8, 1), "phone": rng.uniform(0.4, 0.7)}
        curl = bent.get(pose, 0.05 if finger == 0 else 0.9)
        spread = (finger - 1.5) * rng.uniform(0.02, 0.14) + rng.normal(0, 0.03)
        _finger(
            brush, to_px, length_px, skin, _ROOTS[finger], spread, _LENGTHS[finger], _WIDTHS[finger], curl
        )
    inwards = rng.uniform(-0.9, -0.2) if pose != "fist" else rng.uniform(0.1, 0.6)
    _finger(brush, to_px, length_px, skin, np.array([-0.16, 0.20]), inwards, 0.36, 0.115, 0.1)


def _finger(brush, to_px, length_px, skin, root, lean, length, width, curl) -> None:
    """One finger; curl 1 folds it over the palm, so that three knuckles look at the camera."""
    t = np.linspace(0, 1, 12)
    reach = length * (1 - 0.62 * curl)
    path = root + np.column_stack([np.sin(lean * (0.5 + t)) * reach * t, np.cos(lean) * reach * t])
    px, wide = to_px(path), width * length_px
    brush.stroke(px, skin * 0.42, wide * 1.10, 0.10 * wide)
    brush.stroke(px, skin * 0.95, wide * 0.94, 0.03 * wide)
    across = np.array([np.cos(lean), -np.sin(lean)]) * width
    brush.stroke(to_px(path - across * 0.12), skin * 1.18, wide * 0.35, 0.16 * wide, 0.8)
    for joint in (4, 8):
        bow = path[joint] + np.outer(np.linspace(-0.34, 0.34, 5), across)
        brush.stroke(to_px(bow), (0.7, 0.6, 0.58), 0.08 * wide, 0.04 * wide, 0.8, tint=True)
    if curl < 0.6:
        along = path[-1] - path[-2]
        turned = float(np.arctan2(along[0], along[1]))
        nail = ellipse((0, 0), (0.30 * width, 0.40 * width), -turned) + path[-1] + across * 0.02
        brush.fill(to_px(nail), np.minimum(skin * (1.15, 1.05, 1.05) + 0.03, 1.2), 0.04 * wide, 0.85)
        brush.stroke(to_px(nail[14:]), 0.75, 0.06 * wide, 0.04 * wide, tint=True)


def _forearm(rng, brush, to_px, length_px, skin, light: Light) -> None:
    arm = np.array([(-0.13, 0.04), (-0.16, -0.5), (-0.22, -2.0), (0.22, -2.0), (0.16, -0.5), (0.13, 0.04)])
    brush.fill(to_px(arm), skin * 0.62, 0.03 * length_px)
    brush.fill(to_px(arm * (0.8, 1)), skin, 0.05 * length_px)
    if rng.random() < 0.6:
        sleeve = arm * (1.35, 1) - (0, rng.uniform(0.1, 0.5))
        cloth = lit(rng.uniform(0.01, 0.5) * np.exp(rng.normal(0, 0.3, 3)), light)
        brush.fill(to_px(sleeve), cloth, 0.01 * length_px)


def _phone(rng, brush, to_px, length_px, light: Light) -> None:
    """A telephone that lies in the hand."""
    middle, lean = np.array([-0.02, 0.52]), rng.normal(0, 0.2)
    half = np.array([0.19, 0.40])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    turn = np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]])
    body = lit(rng.choice([0.01, 0.04, 0.5]) * np.exp(rng.normal(0, 0.2, 3)), light)
    brush.fill(to_px(corners * half @ turn + middle), body, 0.012 * length_px)
    if rng.random() < 0.5:
        glow = rng.uniform(0.02, 0.9) * np.exp(rng.normal(0, 0.3, 3))
        brush.fill(to_px(corners * half * 0.92 @ turn + middle), glow, 0.004 * length_px)
    else:
        for row in (0.3, 0.2):
            lens = to_px(ellipse(np.array([-0.09, row]) @ turn + middle, (0.035, 0.035)))
            brush.fill(lens, 0.01, 0.003 * length_px)
