"""A face from profile to full view: eyes, brows, nose, mouth, beard and wrinkles."""

import numpy as np

from data.render.head.eyes import draw_eye
from data.render.head.face_map import CHIN, EYE, MOUTH, NOSE_BASE, NOSE_TIP, FaceMap, Looks
from data.render.paint.brush import Brush, ellipse
from data.render.paint.noise import field, grain


def draw_face(
    rng: np.random.Generator, albedo: np.ndarray, face: FaceMap, looks: Looks, hair: np.ndarray
) -> None:
    """The features, painted in place on a map (h, w, 3) of skin colour that is lit afterwards."""
    brush = Brush(albedo)
    if looks.beard > 0:
        _beard(rng, albedo, face, looks, hair)
    _cheeks(brush, face, looks)
    _mouth(rng, brush, face, looks)
    for side in (-1, 1):
        if face.shows(side * EYE[0]):
            draw_eye(rng, brush, face, side, looks, hair)
    _nose(brush, face, looks)


def nose_outline(face: FaceMap, looks: Looks) -> np.ndarray:
    """Silhouette of the nose, lips and chin where they stand out from the head, (N, 2) px."""
    heights = np.array(
        [-0.30, -0.14, 0.10, 0.24, NOSE_TIP, 0.38, NOSE_BASE, 0.55, 0.70, MOUTH, 0.90, 1.02, 1.2]
    )
    tip = looks.nose
    out = [1.0, 1.0, 1 + 0.55 * (tip - 1), 0.04 + tip, tip, tip - 0.02, 1.05, 1.02]
    out = np.array([*out, 1.05, 1.03, 1.05, 1.0, 1.03])
    front = face.to_px(0.0, heights, out)
    return np.concatenate([front, face.to_px(-0.5, heights[::-1])])


def _nose(brush: Brush, face: FaceMap, looks: Looks) -> None:
    unit, tip = face.unit, looks.nose
    ridge = np.array([-0.15, 0.05, 0.22, NOSE_TIP, 0.37])
    out = np.array([1.02, 1.05, 1.10, tip, tip - 0.02])
    for side in (-1, 1):
        flank = np.concatenate(
            [face.to_px(side * 0.05, ridge, out), face.to_px(side * 0.20, ridge[::-1] + 0.02, 1.02)]
        )
        brush.fill(flank, 0.80 if side < 0 else 0.88, 0.05 * unit, 0.8, tint=True)
        if not face.shows(side * 0.2):
            continue
        wing = face.to_px(
            side * np.array([0.12, 0.19, 0.20, 0.15]), [0.25, 0.30, 0.39, 0.43], [1.08, 1.06, 1.06, 1.08]
        )
        brush.stroke(wing, (0.55, 0.42, 0.40), 0.03 * unit, 0.015 * unit, 0.8, tint=True)
        nostril = face.to_px(side * 0.085, 0.415, tip - 0.05)[0]
        wide = 0.055 * max(np.cos(side * 0.1 + face.turn), 0.5)
        brush.disc(nostril, (wide * unit, 0.028 * unit), (0.18, 0.09, 0.08), 0.012 * unit, tint=True)
    shade = face.to_px([-0.2, -0.08, 0.08, 0.2], [0.44, 0.46, 0.46, 0.44], 1.06)
    brush.stroke(shade, 0.7, 0.04 * unit, 0.03 * unit, 0.8, tint=True)
    brush.stroke(face.to_px(0.0, ridge, out), 1.22, 0.05 * unit, 0.03 * unit, 0.7, tint=True)


def _mouth(rng: np.random.Generator, brush: Brush, face: FaceMap, looks: Looks) -> None:
    unit = face.unit
    half = rng.uniform(0.27, 0.34) + max(looks.smile, 0)
    t = np.linspace(-1, 1, 17)
    lon, arch = t * half, 1 - t * t
    corner = -looks.smile * 1.6 * t * t
    out = 1.0 + 0.05 * arch
    bow = 0.012 * np.cos(t * 9) * arch
    opened = looks.mouth_open
    top = MOUTH + corner - looks.lips * arch**0.7 + bow
    inner_top = MOUTH + corner - 0.1 * opened * arch
    inner_low = MOUTH + corner + opened * arch
    low = inner_low + looks.lips * 1.3 * arch**0.8
    paint = np.array([0.92, 0.52, 0.50]) * (1 - looks.makeup * np.array([0.25, 0.6, 0.5]))
    whole = np.concatenate([face.to_px(lon, top, out), face.to_px(lon[::-1], low[::-1], out)])
    brush.fill(whole, paint, 0.012 * unit, 0.9, tint=True)
    upper = np.concatenate([face.to_px(lon, top, out), face.to_px(lon[::-1], inner_top[::-1], out)])
    brush.fill(upper, 0.8, 0.01 * unit, tint=True)
    if opened:
        hole = np.concatenate([face.to_px(lon, inner_top, out), face.to_px(lon[::-1], inner_low[::-1], out)])
        brush.fill(hole, (0.03, 0.008, 0.006), 0.006 * unit)
        if rng.random() < 0.85:
            teeth = inner_top + np.minimum(0.10, opened * 0.8) * arch
            row = np.concatenate(
                [face.to_px(lon * 0.86, inner_top, out), face.to_px(lon[::-1] * 0.86, teeth, out)]
            )
            brush.fill(row, np.array([0.72, 0.68, 0.58]) * rng.uniform(0.6, 1.1), 0.006 * unit, within=hole)
    else:
        brush.stroke(face.to_px(lon, MOUTH + corner, out), 0.35, 0.022 * unit, 0.006 * unit, tint=True)
    gloss = face.to_px(lon[5:12] * 0.7, low[5:12] - looks.lips * 0.6, out[5:12])
    brush.stroke(gloss, 1.35, 0.03 * unit, 0.02 * unit, 0.6, tint=True)
    below = face.to_px(lon[4:13], MOUTH + opened + looks.lips * 1.3 + 0.09, 1.0)
    brush.stroke(below, 0.75, 0.05 * unit, 0.04 * unit, 0.8, tint=True)


def _cheeks(brush: Brush, face: FaceMap, looks: Looks) -> None:
    """Blood in the cheeks, the fold from nose to mouth, lines of age on the forehead and at the eyes."""
    unit, age = face.unit, looks.age
    for side in (-1, 1):
        if not face.shows(side * 0.5):
            continue
        cheek = face.to_px(side * 0.5, 0.3)[0]
        brush.disc(cheek, (0.32 * unit, 0.25 * unit), (1.0, 0.86, 0.86), 0.15 * unit, tint=True)
        fold = face.to_px(side * np.array([0.22, 0.32, 0.37, 0.40]), [0.35, 0.52, 0.68, 0.84])
        brush.stroke(fold, 0.72, 0.035 * unit, 0.025 * unit, 0.3 + 0.7 * age, tint=True)
        if age > 0.4:
            for line in range(3):
                start = np.array([0.62, 0.68, 0.74])
                crow = face.to_px(side * start, EYE[1] + 0.05 * (line - 1) * np.array([0.5, 1, 1.6]))
                brush.stroke(crow, 0.7, 0.015 * unit, 0.01 * unit, age, tint=True)
    if age > 0.45:
        for line in range(3):
            brow = face.to_px(np.linspace(-0.6, 0.6, 9), -0.72 - 0.14 * line + 0.02 * np.cos(np.arange(9)))
            brush.stroke(brow, 0.75, 0.02 * unit, 0.015 * unit, age, tint=True)


def _beard(
    rng: np.random.Generator, albedo: np.ndarray, face: FaceMap, looks: Looks, hair: np.ndarray
) -> None:
    """Stubble or a beard from the sideburns over jaw, lip and chin."""
    side = np.linspace(-1.5, 1.5, 21)
    upper = np.where(np.abs(side) < 0.38, 0.56, np.where(np.abs(side) < 1.1, 0.88, 0.30 + 0 * side))
    area = np.concatenate([face.to_px(side, upper), face.to_px(side[::-1], CHIN + 0.25, 1.03)])
    cover = np.zeros((*albedo.shape[:2], 3), np.float32)
    Brush(cover).fill(area, 1.0, 0.06 * face.unit)
    Brush(cover).fill(
        ellipse(face.to_px(0, MOUTH)[0], (0.30 * face.unit, 0.10 * face.unit)), 0.0, 0.02 * face.unit
    )
    shape = albedo.shape[:2]
    tufts = 0.7 + 0.35 * grain(rng, shape, max(0.004 * face.unit, 0.5)) + 0.25 * field(rng, shape, 9, 2)
    thick = np.clip(cover[..., 0] * looks.beard * np.clip(tufts, 0, 1.3), 0, 0.97)[..., None]
    albedo += (hair * 0.8 - albedo) * thick
