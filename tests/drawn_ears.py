"""A few small photographs with ellipses for ears and 17 points on each, made in milliseconds; no renderer."""

from pathlib import Path

import cv2
import numpy as np

from data.manifest import Manifest, write_manifest

POINTS = 17


def draw_ears(folder: Path, name: str, photographs: int, seed: int, ears_each: int = 1) -> Path:
    """Write photographs and their manifest `folder/name.npy`; a last photograph holds no ear."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list] = {"paths": [], "boxes": [], "points": []}
    for number in range(photographs):
        picture = np.full((150, 270, 3), rng.integers(40, 200, 3), np.uint8)
        path = folder / f"{name}_{number}.png"
        for ear in range(ears_each):
            box, points = _draw_one(picture, rng, left=45 + 105 * ear)
            rows["paths"].append(str(path))
            rows["boxes"].append(box)
            rows["points"].append(points)
        _write(path, picture)
    empty = folder / f"{name}_empty.png"
    _write(empty, np.full((150, 270, 3), 90, np.uint8))
    manifest = Manifest(
        np.array(rows["paths"]),
        np.array(rows["boxes"], np.float32),
        np.array(rows["points"], np.float32),
        np.full((len(rows["paths"]), POINTS), 2, np.uint8),
        empty_images=np.array([str(empty)]),
    )
    return write_manifest(folder / f"{name}.npy", manifest)


def _draw_one(picture: np.ndarray, rng: np.random.Generator, left: int) -> tuple[list[float], np.ndarray]:
    """Draws on `picture`; returns box_xyxy and points (17, 2) on the rim and in the middle."""
    half_x, half_y = rng.integers(18, 30), rng.integers(35, 48)
    x, y = left + half_x + rng.integers(0, 20), 60 + rng.integers(0, 30)
    colour = tuple(int(value) for value in rng.integers(120, 255, 3))
    cv2.ellipse(picture, (int(x), int(y)), (int(half_x), int(half_y)), 0, 0, 360, colour, -1)
    inside = (int(x + half_x // 3), int(y)), (int(half_x) // 2, int(half_y) // 2)  # not its own mirror image
    cv2.ellipse(picture, *inside, 0, 0, 360, (30, 20, 20), -1)
    angle = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    points = np.stack([x + half_x * np.cos(angle), y + half_y * np.sin(angle)], axis=1)
    return [x - half_x, y - half_y, x + half_x + 1, y + half_y + 1], points


def _write(path: Path, rgb: np.ndarray) -> None:
    cv2.imwrite(str(path), rgb[..., ::-1])
