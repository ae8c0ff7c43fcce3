"""Rendering to disk: many processes, the same bytes whatever their number."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.files import write_atomic
from data.landmarks import NUM_LANDMARKS
from data.render.scene.framing import Views

SPLITS = ("train", "val", "test")
# Splits take their identities and scenes from ranges of seeds that cannot meet.
_SPLIT_SEEDS = 100_000_000


@dataclass(frozen=True)
class Order:
    """One picture to render. `kind`: ear or scene; `path` of the image file."""

    kind: str
    split: str
    seed: int
    photo: int
    image_px: tuple[int, int]
    path: Path
    source: str
    jpeg_quality: int
    views: Views


@dataclass(frozen=True)
class Labels:
    """What stands in a rendered picture: boxes_xyxy (N, 4), landmarks (N, 17, 2), visibility (N, 17)."""

    boxes_xyxy: np.ndarray
    landmarks: np.ndarray
    visibility: np.ndarray


def identity_seed(seed: int, split: str, number: int) -> int:
    """Seed of an identity; two splits never share one."""
    return (seed * len(SPLITS) + SPLITS.index(split)) * _SPLIT_SEEDS + number


def render_all(orders: list[Order], workers: int, title: str) -> list[Labels]:
    """Render the orders with `workers` processes (0: in this one), in order, with a progress bar."""
    from tqdm import tqdm

    if not orders:
        return []

    progress = {"total": len(orders), "desc": title, "unit": "image", "mininterval": 0.5}
    if workers <= 0 or len(orders) < 8:
        return [fulfil(order) for order in tqdm(orders, **progress)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        return list(tqdm(pool.map(fulfil, orders, chunksize=8), **progress))


def fulfil(order: Order) -> Labels:
    """Render one picture and write its file."""
    if order.kind == "ear":
        from data.render.scene.photograph import render_ear

        ear = render_ear(order.seed, order.photo, order.image_px[0], order.views)
        _write_image(order.path, ear.image, order.jpeg_quality)
        return Labels(ear.box_xyxy[None], ear.landmarks[None], ear.visibility[None])
    from data.render.scene.scene import render_scene

    scene = render_scene(order.seed, None, order.image_px, order.views)
    _write_image(order.path, scene.image, order.jpeg_quality)
    return Labels(scene.boxes_xyxy, scene.landmarks, scene.visibility)


def write_manifests(
    output_dir: Path, split: str, kind: str, orders: list[Order], labels: list[Labels]
) -> None:
    """One split's manifests: `SPLIT_teacher.npy` and `SPLIT_labelled.npy`, or `SPLIT_frames.npy`."""
    from data.manifest import Manifest, write_manifest

    rows = [
        (order, index, label)
        for order, label in zip(orders, labels)
        for index in range(len(label.boxes_xyxy))
    ]
    manifest = Manifest(
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
            [str(order.path) for order, label in zip(orders, labels) if not len(label.boxes_xyxy)], dtype=str
        ),
    )
    for name in ("teacher", "labelled") if kind == "ear" else ("frames",):
        write_manifest(output_dir / f"{split}_{name}.npy", manifest)


def _write_image(path: Path, image: np.ndarray, jpeg_quality: int) -> None:
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if path.suffix == ".jpg" else []
    packed = cv2.imencode(path.suffix, image[..., ::-1], options)[1].tobytes()
    write_atomic(path, lambda temporary: temporary.write_bytes(packed))


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)
