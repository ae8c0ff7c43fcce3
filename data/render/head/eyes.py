"""One eye of a face: socket, white, iris, lids, lashes and brow."""

import numpy as np

from data.render.head.face_map import EYE, FaceMap, Looks
from data.render.paint.brush import Brush

# In ear heights (of 63 mm): half the width of an eye and the radii of iris and pupil.
_HALF, _IRIS, _PUPIL = 0.235, 0.093, 0.040
_OUT = 0.97  # eyes lie a little behind the surface of the head


def draw_eye(
    rng: np.random.Generator, brush: Brush, face: FaceMap, side: int, looks: Looks, hair: np.ndarray
) -> None:
    """The eye on one side (-1: towards the ear), painted in place."""
    unit = face.unit
    head = face.radii[0] / unit

    def to_px(x, y) -> np.ndarray:
        """Ear heights from the eye's middle, x outwards, to px."""
        return face.to_px(side * (EYE[0] + np.asarray(x) / head), EYE[1] + np.asarray(y), _OUT)

    t = np.linspace(-1, 1, 15)
    arch = np.power(1 - t * t, 0.75)
    tilt = -0.03 * t
    upper = to_px(t * _HALF, tilt - looks.eye_open * arch * 0.95)
    lower = to_px(t * _HALF, tilt + looks.eye_open * arch * 0.6)
    almond = np.concatenate([upper, lower[::-1]])
    _socket(brush, to_px, unit, looks)
    if looks.eye_open:
        white = np.array([0.62, 0.58, 0.55]) * rng.uniform(0.7, 1.15)
        brush.fill(almond, white, 0.008 * unit)
        _iris(brush, face, to_px, almond, looks)
        brush.stroke(lower, (0.55, 0.40, 0.38), 0.018 * unit, 0.006 * unit, 0.8, tint=True)
        crease = to_px(t * _HALF * 1.02, tilt - 0.035 - looks.eye_open * 1.1 * arch)
        brush.stroke(crease, (0.6, 0.5, 0.48), 0.018 * unit, 0.01 * unit, 0.8, tint=True)
    line = upper if looks.eye_open else lower
    dark = np.array([0.02, 0.012, 0.01])
    brush.stroke(line, dark, (0.018 + 0.03 * looks.makeup) * unit, 0.005 * unit, 0.85)
    _lashes(rng, brush, to_px, looks, dark, unit)
    _brow(rng, brush, to_px, looks, hair, unit)


def _socket(brush: Brush, to_px, unit: float, looks: Looks) -> None:
    angle = np.linspace(0, 2 * np.pi, 20)
    hollow = to_px(0.36 * np.cos(angle) - 0.04, 0.20 * np.sin(angle) - 0.06)
    brush.fill(hollow, (0.80, 0.72, 0.70), 0.07 * unit, 0.9, tint=True)
    if looks.makeup > 0.4:
        shadow = to_px(0.28 * np.cos(angle), 0.12 * np.sin(angle) - 0.08)
        brush.fill(shadow, (0.5, 0.40, 0.40), 0.04 * unit, looks.makeup, tint=True)
    bag = to_px(np.linspace(-0.2, 0.2, 9), 0.15 + 0.03 * np.cos(np.linspace(-2, 2, 9)))
    brush.stroke(bag, 0.75, 0.03 * unit, 0.025 * unit, 0.2 + 0.7 * looks.age, tint=True)


def _iris(brush: Brush, face: FaceMap, to_px, almond: np.ndarray, looks: Looks) -> None:
    angle = np.linspace(0, 2 * np.pi, 24)
    at = np.array(looks.gaze) * (0.3, 0.25)

    def ring(radius: float) -> np.ndarray:
        return to_px(at[0] + radius * np.cos(angle), at[1] - 0.01 + radius * np.sin(angle))

    unit = face.unit
    brush.fill(ring(_IRIS), looks.iris * 0.35, 0.006 * unit, within=almond)
    brush.fill(ring(_IRIS * 0.84), looks.iris, 0.01 * unit, within=almond)
    brush.fill(ring(_PUPIL), 0.004, 0.004 * unit, within=almond)
    glint = to_px(at[0] + 0.03, at[1] - 0.045)[0]
    brush.disc(glint, (0.018 * unit, 0.018 * unit), 1.6, 0.004 * unit)
    shade = to_px(np.linspace(-0.2, 0.2, 9), -0.75 * looks.eye_open * np.sqrt(1 - np.linspace(-1, 1, 9) ** 2))
    brush.stroke(shade, 0.45, 0.03 * unit, 0.015 * unit, 0.8, tint=True)


def _lashes(rng: np.random.Generator, brush: Brush, to_px, looks: Looks, dark, unit: float) -> None:
    if unit < 40:  # finer than a pixel
        return
    length = 0.05 + 0.05 * looks.makeup
    up = -1 if looks.eye_open else 1
    for t in np.linspace(-0.8, 1.1, 12):
        root_y = up * looks.eye_open * 0.95 * np.power(max(1 - t * t, 0), 0.75)
        bend = length * rng.uniform(0.7, 1.2)
        lash = to_px(
            [t * _HALF, t * _HALF + 0.3 * bend * t, t * _HALF + bend * (0.3 + t * 0.6)],
            [root_y, root_y + up * 0.5 * bend, root_y + up * bend],
        )
        brush.stroke(lash, dark, 0.008 * unit, 0, 0.8)


def _brow(rng: np.random.Generator, brush: Brush, to_px, looks: Looks, hair, unit: float) -> None:
    t = np.linspace(0, 1, 12)
    x = -0.27 + 0.62 * t
    y = -0.27 - looks.eye_open * 0.4 - 0.07 * np.sin(t * 2.4) + 0.10 * t * t
    thick = looks.brow * np.power(1 - t, 0.35) * (0.6 + 0.8 * np.minimum(t * 5, 1))
    shape = np.concatenate([to_px(x, y - thick), to_px(x[::-1], (y + thick)[::-1])])
    colour = np.minimum(np.asarray(hair) * 0.7, 0.12)
    brush.fill(shape, colour, 0.015 * unit, rng.uniform(0.5, 0.85))
    if unit < 40:
        return
    for place in np.linspace(0, 0.9, 26):
        at = int(place * 11)
        root = (x[at] + rng.normal(0, 0.015), y[at] + rng.uniform(-0.5, 1) * thick[at])
        hairs = to_px([root[0], root[0] + 0.05], [root[1], root[1] - 0.05 * (1 - 1.6 * place)])
        brush.stroke(hairs, colour, 0.01 * unit, 0, 0.7)
