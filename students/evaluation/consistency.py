"""How far readings of one ear differ when its photograph is turned, mirrored, shrunk or lit otherwise.

Needs no landmarks, so it can be measured on photographs: what a model reads of the same ear should not hang
on how it is shown. That is not accuracy (a model that is always wrong in the same way is consistent), so it
stands beside the error on labelled ears.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from data import crops
from data.manifest import Manifest
from students.evaluation.frame_detections import frames_of, photographs
from students.evaluation.point_readers import PointReader

VIEW_PX, EAR_PX = 384, 128  # of the window round an ear, and of the longer side of its box in it
BLUR_PX = 2.0  # standard deviation, of an ear of 128 px


@dataclass(frozen=True)
class Warp:
    """A known change of an ear's view: where points go, how large the box is, what light does."""

    matrix: np.ndarray | None = None  # (2, 3), view px -> changed view px
    out_px: int = VIEW_PX
    box_scale: float = 1.0
    photometry: Callable[[np.ndarray], np.ndarray] | None = None


def warps() -> dict[str, Warp]:
    """By their names in tables."""
    middle = np.full(2, (VIEW_PX - 1) / 2)
    turned = {
        f"turned by {degrees} degrees": Warp(crops.rotation_matrix(np.radians(degrees), middle))
        for degrees in (-60, -30, -15, 15, 30, 60)
    }
    quarter = crops.letterbox_matrix(VIEW_PX, VIEW_PX, VIEW_PX // 4)
    return turned | {
        "mirrored": Warp(crops.flip_matrix(VIEW_PX)),
        "a quarter of the size": Warp(quarter, VIEW_PX // 4),
        "box 10 % tighter": Warp(box_scale=0.9),
        "box 20 % looser": Warp(box_scale=1.2),
        "box 40 % looser": Warp(box_scale=1.4),
        "darker": Warp(photometry=lambda rgb: _gamma(rgb, 2.0)),
        "brighter": Warp(photometry=lambda rgb: _gamma(rgb, 0.5)),
        "blurred": Warp(photometry=lambda rgb: cv2.GaussianBlur(rgb, (0, 0), BLUR_PX)),
        "grey": Warp(photometry=_grey),
    }


def evaluate_consistency(
    readers: Mapping[str, PointReader], manifest: Manifest
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Of each reader {"consistency": {"mean", "warps": {name: mean}, "points": [K means]}}; and arrays
    consistency_* (N, warps, K) for per_image.npz, NaN where a warp cannot be read.

    The measure: the distance between the point read in the changed view, brought back, and that read in the
    view as it is, over the diagonal of the latter's extent. manifest: ears with boxes, no landmarks needed.
    """
    differences: dict[str, list[np.ndarray]] = {name: [] for name in readers}
    frames = [frame for frame in frames_of(manifest) if len(frame.rows)]
    for part, images in photographs(frames):
        views = [
            ear_view(image, box)
            for image, frame in zip(images, frames[part], strict=True)
            for box in frame.boxes_xyxy
        ]
        for name, reader in readers.items():
            differences[name].append(_differences(reader, views))
    metrics, per_image = {}, {}
    for name, parts in differences.items():
        of_ears = np.concatenate(parts)
        metrics[name] = {"consistency": _report(of_ears)}
        per_image[f"consistency_{name}"] = of_ears
    return metrics, per_image


def ear_view(rgb: np.ndarray, box_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The window round an ear, (VIEW_PX, VIEW_PX, 3) uint8, and its box (4,) px there."""
    margin = (VIEW_PX / EAR_PX - 1) / 2
    matrix = crops.crop_matrix(box_xyxy, VIEW_PX, margin)
    return crops.crop(rgb, matrix, VIEW_PX), crops.apply_to_boxes(matrix, box_xyxy)


def _differences(reader: PointReader, views: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(N, warps, K), fractions of the diagonal."""
    images, boxes = map(list, zip(*views, strict=True))
    plain = reader.read(images, boxes).points_px.astype(np.float64)
    diagonal = np.linalg.norm(plain.max(axis=1) - plain.min(axis=1), axis=1)
    found = []
    for warp in warps().values():
        mirrors = warp.matrix is not None and crops.mirrors(warp.matrix)
        if mirrors and reader.flip is None:
            found.append(np.full(plain.shape[:2], np.nan))
            continue
        changed = [_changed(warp, image, box) for image, box in views]
        points = reader.read(*map(list, zip(*changed, strict=True))).points_px
        if mirrors:
            points = points[:, list(reader.flip)]
        if warp.matrix is not None:
            points = crops.apply(crops.invert(warp.matrix), points)
        found.append(np.linalg.norm(points - plain, axis=2) / diagonal[:, None])
    return np.stack(found, axis=1)


def _changed(warp: Warp, image: np.ndarray, box_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if warp.photometry is not None:
        image = warp.photometry(image)
    if warp.matrix is not None:
        image = crops.crop(image, warp.matrix, warp.out_px)
        box_xyxy = crops.apply_to_ellipses(warp.matrix, box_xyxy)
    centre, half = (box_xyxy[:2] + box_xyxy[2:]) / 2, (box_xyxy[2:] - box_xyxy[:2]) / 2 * warp.box_scale
    return image, np.concatenate([centre - half, centre + half])


def _report(differences: np.ndarray) -> dict[str, Any]:
    of_warps = np.nanmean(differences, axis=(0, 2))
    return {
        "mean": float(np.nanmean(of_warps)),
        "ears": len(differences),
        "warps": {name: float(value) for name, value in zip(warps(), of_warps, strict=True)},
        "points": [float(value) for value in np.nanmean(differences, axis=(0, 1))],
    }


def _grey(rgb: np.ndarray) -> np.ndarray:
    return np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def _gamma(rgb: np.ndarray, power: float) -> np.ndarray:
    table = (255 * (np.arange(256) / 255) ** power).round().astype(np.uint8)
    return table[rgb]
