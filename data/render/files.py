"""Rendering to disk: many processes, the same bytes whatever their number."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from configs.files import write_bytes
from configs.processes.lifetime import end_with_parent
from data.landmarks import NUM_LANDMARKS
from data.manifest import Manifest, write_manifest
from data.render.factors import GROUPS, Factors, write_factors
from data.render.orders import SPLITS, Kind, Order
from data.render.scene.photograph import render_ear
from data.render.scene.scene import render_scene

JPEG_QUALITY = 92  # as cameras write it


@dataclass(frozen=True)
class Labels:
    """What stands in a rendered picture: boxes_xyxy (N, 4), landmarks (N, 17, 2), visibility (N, 17); of an
    ear photograph also its factors.
    """

    boxes_xyxy: np.ndarray
    landmarks: np.ndarray
    visibility: np.ndarray
    factors: dict[str, np.ndarray] | None = None


def render_all(orders: Sequence[Order], num_workers: int, title: str) -> list[Labels]:
    """Render the orders with `num_workers` processes (0: in this one), in order, with a progress bar."""
    if not orders:
        return []
    progress = {"total": len(orders), "desc": title, "unit": "image", "mininterval": 0.5}
    if num_workers <= 0 or len(orders) < 8:
        return [fulfil(order) for order in tqdm(orders, **progress)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context, initializer=_prepare_worker) as pool:
        return list(tqdm(pool.map(fulfil, orders, chunksize=8), **progress))


def fulfil(order: Order) -> Labels:
    """Render one picture and write its file."""
    if order.kind == "ear":
        ear = render_ear(order.seed, order.photo, order.shape_px[0], order.yaws, order.habit)
        _write_image(order.path, ear.image)
        return Labels(ear.box_xyxy[None], ear.landmarks[None], ear.visibility[None], ear.factors)
    scene = render_scene(order.seed, None, order.shape_px, order.yaws, order.habit)
    _write_image(order.path, scene.image)
    return Labels(scene.boxes_xyxy, scene.landmarks, scene.visibility)


def write_manifests(output_dir: Path, kind: Kind, orders: Sequence[Order], labels: Sequence[Labels]) -> None:
    """Of each split with a picture: SPLIT_teacher.npy, SPLIT_labelled.npy and SPLIT_factors.npz of ears,
    SPLIT_frames.npy of scenes.
    """
    for split in SPLITS:
        pictures = [(order, label) for order, label in zip(orders, labels) if order.split == split]
        for name in ("teacher", "labelled") if kind == "ear" else ("frames",):
            if pictures:
                write_manifest(output_dir / f"{split}_{name}.npy", _manifest(pictures))
        if pictures and kind == "ear":
            write_factors(output_dir / f"{split}_factors.npz", _factors(pictures))


def _manifest(pictures: Sequence[tuple[Order, Labels]]) -> Manifest:
    rows = [(order, index, label) for order, label in pictures for index in range(len(label.boxes_xyxy))]
    return Manifest(
        image_paths=np.array([str(order.path) for order, _, _ in rows], dtype=str),
        boxes_xyxy=np.array([label.boxes_xyxy[index] for _, index, label in rows], np.float32).reshape(-1, 4),
        landmarks=np.array([label.landmarks[index] for _, index, label in rows], np.float32).reshape(
            len(rows), NUM_LANDMARKS, 2
        ),
        visibility=np.array([label.visibility[index] for _, index, label in rows], np.uint8).reshape(
            len(rows), NUM_LANDMARKS
        ),
        sources=np.array([order.source for order, _, _ in rows], dtype=str),
        empty_images=np.array(
            [str(order.path) for order, label in pictures if not len(label.boxes_xyxy)], dtype=str
        ),
    )


def _factors(pictures: Sequence[tuple[Order, Labels]]) -> Factors:
    paths = np.array([str(order.path) for order, _ in pictures], dtype=str)
    return Factors(paths, {name: np.stack([label.factors[name] for _, label in pictures]) for name in GROUPS})


def _write_image(path: Path, image: np.ndarray) -> None:
    packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    write_bytes(path, packed)


def _prepare_worker() -> None:
    end_with_parent()
    cv2.setNumThreads(1)
