"""Latents of ears: of pictures or of a manifest, and which are most alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from data.crops import crop, crop_matrix
from data.dataset import EarCrops
from data.manifest import Manifest
from data.tensors import to_signed
from teacher.models.autoencoder import Autoencoder

BATCH = 32  # crops at once; a larger one is no faster on a CPU, and no GPU is too small for it


def embed_images(
    model: Autoencoder, images: Sequence[np.ndarray] | torch.Tensor, batch_size: int = BATCH
) -> np.ndarray:
    """The latent means of ear crops.

    images: (N, 3, S, S) uint8 tensor, or pictures (H, W, 3) uint8 RGB of any sizes, one ear each filling
    its picture. Returns (N, latent_dim) float32. The model is put into eval mode.
    """
    if not isinstance(images, torch.Tensor):
        images = torch.stack([_squared(image, model.hparams["image_size"]) for image in images])
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        batches = [
            model.encode(to_signed(batch.to(device)))[0].float().cpu() for batch in images.split(batch_size)
        ]
    return torch.cat(batches).numpy()


def embed_manifest(model: Autoencoder, manifest: Manifest) -> np.ndarray:
    """The latent means (N, latent_dim) float32 of the ears of a manifest, cut as it says."""
    batches = tqdm(crop_batches(model, manifest), desc="embedding", unit="batch")
    return np.concatenate([embed_images(model, batch["image"]) for batch in batches])


def most_similar(embeddings: np.ndarray, query: np.ndarray, top: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The rows of `embeddings` (N, D) nearest to `query` by cosine, best first.

    query: (D,), or (V, D) for several views of one ear, of which the nearest counts. Returns rows (top,)
    and their cosines (top,), fewer when there are fewer rows.
    """
    cosines = (_unit(embeddings) @ _unit(np.atleast_2d(query)).T).max(axis=1)
    rows = np.argsort(-cosines, kind="stable")[:top]
    return rows, cosines[rows]


def crop_batches(model: Autoencoder, manifest: Manifest, batch_size: int = BATCH) -> DataLoader:
    """A loader of the manifest's ears as the model's crops, in order, without augmentation."""
    return DataLoader(EarCrops(manifest, model.hparams["image_size"]), batch_size)


def best_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _squared(image: np.ndarray, side_px: int) -> torch.Tensor:
    """(H, W, 3) uint8 to (3, side, side) uint8, the picture whole in a grey square."""
    box = np.array([0, 0, image.shape[1], image.shape[0]], np.float32)
    square = crop(image, crop_matrix(box, side_px, margin=0.0), side_px)
    return torch.from_numpy(square.transpose(2, 0, 1).copy())


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
