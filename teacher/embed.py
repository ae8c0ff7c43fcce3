"""Embed ears as latents and find the most similar: `python -m teacher.embed --checkpoint ... --images
FOLDER`.

Writes `embeddings.npz` (paths, boxes, embeddings) and, for each `--query` picture, its nearest neighbours
into `similar.json` and `similar.png` (the query on the left). Pictures of a folder are taken as crops of
one ear each; a manifest (.npy) brings boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_atomic, write_json
from configs.groups import Fixed, Gone, Ignored
from configs.provenance import write_provenance
from data.crop_settings import CropSettings
from data.images import find_images, image_size
from data.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from teacher.models.autoencoder import Autoencoder


@dataclass(frozen=True)
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
    output_dir: Path = Path("runs/embeddings")
    """Where everything is written."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "mirror": Fixed(True, "the other ear of a person resembles the mirror image of the first"),
        "batch_size": Ignored("it changes nothing but the time"),
        "num_workers": Ignored("it changes nothing but the time"),
    }


def main(config: Config) -> Path:
    """Embed and search; returns the output folder."""
    from teacher.checkpoint import require_margin
    from teacher.models.embeddings import best_device, embed_manifest, most_similar
    from teacher.models.teachers import load_teacher

    model = load_teacher(config.checkpoint).to(best_device())
    manifest = _ears_in(config.images)
    if config.images.suffix == ".npy":
        require_margin(manifest.crops, model.crops, f"{config.images}", f"{config.checkpoint}")
    embeddings = embed_manifest(model, manifest)
    output_dir = Path(config.output_dir)
    write_provenance(output_dir, config)
    paths = manifest.image_paths
    content = {"image_paths": paths, "boxes_xyxy": manifest.boxes_xyxy, "embeddings": embeddings}
    write_atomic(output_dir / "embeddings.npz", lambda temporary: np.savez(temporary, **content))
    if config.query:
        queries = _as_crops(config.query)
        found = [most_similar(embeddings, views, config.top) for views in _with_mirror_images(model, queries)]
        report = {
            str(query): [
                {"image": str(paths[row]), "row": int(row), "similarity": round(float(cosine), 4)}
                for row, cosine in zip(*result, strict=True)
            ]
            for query, result in zip(config.query, found, strict=True)
        }
        write_json(output_dir / "similar.json", report)
        _draw(output_dir / "similar.png", model, queries, manifest, [rows for rows, _ in found])
    return output_dir


def _ears_in(images: Path) -> Manifest:
    """The ears of a manifest, or those that the pictures of a folder show."""
    if images.suffix == ".npy":
        return read_manifest(images)
    if not images.is_dir():
        raise UserError(f"{images}: no such folder of ear crops, and not a manifest (.npy).")
    paths = find_images(images)
    if not paths:
        raise UserError(f"{images}: no images in this folder.")
    return _as_crops(paths)


def _as_crops(paths: Sequence[Path]) -> Manifest:
    """Pictures that each show one ear: the box is the whole picture, without margin."""
    sizes = [image_size(path) for path in paths]
    boxes = np.array([(0, 0, width, height) for height, width in sizes], np.float32)
    names = np.array([str(Path(path).absolute()) for path in paths])
    return Manifest(names, boxes, crops=CropSettings(margin=0.0))


def _with_mirror_images(model: Autoencoder, queries: Manifest) -> np.ndarray:
    """(Q, 2, D): each query and its mirror image, which the other ear of the same person resembles."""
    import torch

    from teacher.models.embeddings import crop_batches, embed_images

    images = torch.cat([batch["image"] for batch in crop_batches(model, queries)])
    return np.stack([embed_images(model, view) for view in (images, images.flip(-1))], axis=1)


def _draw(path: Path, model: Autoencoder, queries: Manifest, ears: Manifest, found: list[np.ndarray]) -> None:
    """Each query and its neighbours in a row."""
    from data.draw import picture_grid, write_picture
    from teacher.models.embeddings import crop_batches

    pictures = []
    for query, rows in enumerate(found):
        for manifest, chosen in ((queries, [query]), (ears, rows)):
            for batch in crop_batches(model, manifest.select(chosen)):
                pictures += list(batch["image"].permute(0, 2, 3, 1).numpy())
    write_picture(path, picture_grid(pictures, columns=1 + len(found[0])))


if __name__ == "__main__":
    run_command(Config, main)
