"""Embed ears as latents and find the most similar: `python -m teacher.embed --checkpoint ... --images
FOLDER`.

Writes `embeddings.npz` (paths, boxes, embeddings) and, for each `--query` picture, its nearest neighbours
into `similar.json` and `similar.png` (the query on the left). Pictures of a folder are taken as crops of
one ear each; a manifest (.npy) brings boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.command import run_command
from configs.errors import UserError

if TYPE_CHECKING:
    import torch

    from data.manifest import Manifest
    from teacher.models.autoencoder import Autoencoder


@dataclass
class Config:
    """Embeddings of a folder or manifest of ears, and similarity search in them."""

    checkpoint: Path
    """A trained teacher (teacher.train, teacher.margin)."""
    images: Path
    """Folder of ear crops, or a manifest (.npy) of photographs with boxes."""
    query: tuple[Path, ...] = ()
    """Ear crops to find the most similar ears to."""
    top: int = 8
    """How many neighbours of each query."""
    mirror: bool = True
    """Also compare with the mirrored query: the other ear of a person resembles its mirror image."""
    output_dir: Path = Path("runs/embeddings")
    """Where everything is written."""
    batch_size: int = 32
    """Crops at once."""
    num_workers: int = 0
    """Processes that load crops."""


def main(config: Config) -> Path:
    """Embed and search; returns the output folder."""
    from configs.files import write_atomic, write_json
    from configs.provenance import write_provenance
    from teacher.checkpoint import load_teacher

    model = load_teacher(config.checkpoint).to(best_device())
    manifest, margin = _ears_in(config.images)
    embeddings = embed_manifest(model, manifest, margin, config.batch_size, config.num_workers)
    output_dir = Path(config.output_dir)
    write_provenance(output_dir, config)
    paths = manifest.image_paths
    content = {"image_paths": paths, "boxes_xyxy": manifest.boxes_xyxy, "embeddings": embeddings}
    write_atomic(output_dir / "embeddings.npz", lambda temporary: np.savez(temporary, **content))
    if config.query:
        queries, _ = _as_crops(config.query)
        found = [
            most_similar(embeddings, views, config.top) for views in _views(model, queries, config.mirror)
        ]
        report = {
            str(query): [
                {"image": str(paths[row]), "row": int(row), "similarity": round(float(cosine), 4)}
                for row, cosine in zip(*result, strict=True)
            ]
            for query, result in zip(config.query, found, strict=True)
        }
        write_json(output_dir / "similar.json", report)
        _draw(output_dir / "similar.png", model, queries, manifest, margin, [rows for rows, _ in found])
    return output_dir


def embed_images(
    model: Autoencoder, images: Sequence[np.ndarray] | torch.Tensor, batch_size: int = 32
) -> np.ndarray:
    """The latent means of ear crops.

    images: (N, 3, S, S) uint8 tensor, or pictures (H, W, 3) uint8 RGB of any sizes, one ear each filling
    its picture. Returns (N, latent_dim) float32. The model is put into eval mode.
    """
    import torch

    from data.tensors import to_signed

    if not isinstance(images, torch.Tensor):
        images = torch.stack([_squared(image, model.hparams["image_size"]) for image in images])
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        batches = [
            model.encode(to_signed(batch.to(device)))[0].float().cpu() for batch in images.split(batch_size)
        ]
    return torch.cat(batches).numpy()


def embed_manifest(
    model: Autoencoder,
    manifest: Manifest,
    margin: float | None = None,
    batch_size: int = 32,
    num_workers: int = 0,
) -> np.ndarray:
    """The latent means (N, latent_dim) float32 of the ears of a manifest, seen as in training."""
    from tqdm import tqdm

    batches = tqdm(
        crop_batches(model, manifest, margin, batch_size, num_workers), desc="embedding", unit="batch"
    )
    return np.concatenate([embed_images(model, batch["image"], batch_size) for batch in batches])


def most_similar(embeddings: np.ndarray, query: np.ndarray, top: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The rows of `embeddings` (N, D) nearest to `query` by cosine, best first.

    query: (D,), or (V, D) for several views of one ear, of which the nearest counts. Returns rows (top,)
    and their cosines (top,), fewer when there are fewer rows.
    """
    cosines = (_unit(embeddings) @ _unit(np.atleast_2d(query)).T).max(axis=1)
    rows = np.argsort(-cosines, kind="stable")[:top]
    return rows, cosines[rows]


def crop_batches(
    model: Autoencoder, manifest: Manifest, margin: float | None, batch_size: int, num_workers: int
) -> Any:
    """A loader of the manifest's ears as the model's crops, in order, without augmentation."""
    from torch.utils.data import DataLoader

    from data.crops import MARGIN
    from data.dataset import EarCrops

    crops = EarCrops(manifest, model.hparams["image_size"], MARGIN if margin is None else margin)
    return DataLoader(crops, batch_size, num_workers=num_workers)


def best_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _ears_in(images: Path) -> tuple[Manifest, float | None]:
    """The ears of a manifest or folder, and the margin around their boxes (None: as in training)."""
    from data.images import find_images
    from data.manifest import read_manifest

    images = Path(images)
    if images.suffix == ".npy":
        return read_manifest(images), None
    if not images.is_dir():
        raise UserError(f"{images}: no such folder of ear crops, and not a manifest (.npy).")
    paths = find_images(images)
    if not paths:
        raise UserError(f"{images}: no images in this folder.")
    return _as_crops(paths)


def _as_crops(paths: Sequence[Path]) -> tuple[Manifest, float]:
    """Pictures that each show one ear: the box is the whole picture, without margin."""
    from data.images import image_size
    from data.manifest import Manifest

    sizes = [image_size(path) for path in paths]
    boxes = np.array([(0, 0, width, height) for height, width in sizes], np.float32)
    return Manifest(np.array([str(Path(path).absolute()) for path in paths]), boxes), 0.0


def _views(model: Autoencoder, queries: Manifest, mirror: bool) -> np.ndarray:
    """(Q, 1 or 2, D): each query, and its mirror image."""
    import torch

    images = torch.cat([batch["image"] for batch in crop_batches(model, queries, 0.0, 32, 0)])
    views = [images, images.flip(-1)] if mirror else [images]
    return np.stack([embed_images(model, view) for view in views], axis=1)


def _draw(
    path: Path,
    model: Autoencoder,
    queries: Manifest,
    ears: Manifest,
    margin: float | None,
    found: list[np.ndarray],
) -> None:
    """Each query and its neighbours in a row."""
    from data.draw import picture_grid, write_picture

    pictures = []
    for query, rows in enumerate(found):
        for manifest, chosen, border in ((queries, [query], 0.0), (ears, rows, margin)):
            for batch in crop_batches(model, manifest.select(chosen), border, 32, 0):
                pictures += list(batch["image"].permute(0, 2, 3, 1).numpy())
    write_picture(path, picture_grid(pictures, columns=1 + len(found[0])))


def _squared(image: np.ndarray, side_px: int) -> torch.Tensor:
    """(H, W, 3) uint8 to (3, side, side) uint8, the picture whole in a grey square."""
    import torch

    from data.crops import crop, crop_matrix

    box = np.array([0, 0, image.shape[1], image.shape[0]], np.float32)
    square = crop(image, crop_matrix(box, side_px, margin=0.0), side_px)
    return torch.from_numpy(square.transpose(2, 0, 1).copy())


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)


if __name__ == "__main__":
    run_command(Config, main)
