"""How well the SAM-VAE reconstructs held-out ears: `python -m teacher.evaluate --checkpoint ... --npy
...`.

Writes `metrics.json` (PSNR, SSIM, errors, each with a bootstrap 95 % interval, and how well latents tell
ears apart), `reconstructions.png` (originals above, reconstructions below; ears spread over the manifest)
and `worst.png`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from configs.command import run_command
from data.bootstrap import interval_of_mean

if TYPE_CHECKING:
    from data.manifest import Manifest
    from teacher.models.autoencoder import Autoencoder

DRAWS = 2000  # of the bootstrap


@dataclass
class Config:
    """Reconstruction quality of a trained teacher on a manifest."""

    checkpoint: Path
    """A trained teacher (teacher.train, teacher.margin)."""
    npy: Path
    """Manifest of held-out ears."""
    output_dir: Path = Path("runs/teacher_eval")
    """Where everything is written."""
    pictured: int = 24
    """Ears in each of the two pictures."""
    batch_size: int = 32
    """Crops at once."""
    num_workers: int = 0
    """Processes that load crops."""
    seed: int = 0
    """Of the bootstrap."""


def main(config: Config) -> Path:
    """Measure and draw; returns the output folder."""
    from configs.files import write_json
    from configs.provenance import write_provenance
    from data.draw import write_picture
    from data.manifest import read_manifest
    from teacher.checkpoint import load_teacher
    from teacher.embed import best_device

    model = load_teacher(config.checkpoint).to(best_device())
    manifest = read_manifest(config.npy)
    quality, latents = measure(model, manifest, config.batch_size, config.num_workers)
    output_dir = Path(config.output_dir)
    write_provenance(output_dir, config)
    write_json(output_dir / "metrics.json", summary(quality, latents, config.seed))
    spread = np.linspace(0, len(manifest) - 1, min(config.pictured, len(manifest))).round().astype(int)
    worst = np.argsort(quality["ssim"], kind="stable")[: config.pictured]
    for name, rows in (("reconstructions", spread), ("worst", worst)):
        write_picture(output_dir / f"{name}.png", _pairs(model, manifest.select(rows)))
    return output_dir


def measure(
    model: Autoencoder, manifest: Manifest, batch_size: int = 32, num_workers: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Quality by ear, each (N,) (see `teacher.vae_training.quality`), and latent means (N, latent_dim)."""
    import torch
    from tqdm import tqdm

    from data.tensors import to_signed
    from teacher.embed import crop_batches
    from teacher.vae_training.quality import reconstruction_quality

    model.eval()
    device = next(model.parameters()).device
    found: list[dict[str, np.ndarray]] = []
    latents = []
    with torch.inference_mode():
        loader = crop_batches(model, manifest, None, batch_size, num_workers)
        for batch in tqdm(loader, desc="reconstructing", unit="batch"):
            target = to_signed(batch["image"].to(device))
            reconstruction, mu, _ = model(target)
            quality = reconstruction_quality(reconstruction, target)
            found.append({name: values.cpu().numpy() for name, values in quality.items()})
            latents.append(mu.float().cpu().numpy())
    joined = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    return joined, np.concatenate(latents)


def summary(quality: dict[str, np.ndarray], latents: np.ndarray, seed: int = 0) -> dict:
    """Means over ears, `NAME_interval` beside each, and `latent_cosine`: the mean absolute cosine between
    the latents of different ears, 0 for latents that tell all ears apart, 1 for latents that are all
    alike.
    """
    import torch

    from teacher.vae_training.quality import latent_cosine

    report: dict = {"ears": len(latents)}
    for name, values in quality.items():
        report[name] = round(float(values.mean()), 5)
        report[f"{name}_interval"] = [round(bound, 5) for bound in interval_of_mean(values, DRAWS, seed)]
    report["latent_cosine"] = round(latent_cosine(torch.from_numpy(latents)), 5)
    return report


def _pairs(model: Autoencoder, manifest: Manifest) -> np.ndarray:
    import torch

    from data.tensors import to_signed
    from teacher.embed import crop_batches
    from teacher.pictures import pairs_grid, to_pixels

    batch = next(iter(crop_batches(model, manifest, None, len(manifest), 0)))
    target = to_signed(batch["image"]).to(next(model.parameters()).device)
    with torch.inference_mode():
        return pairs_grid(to_pixels(target), to_pixels(model(target)[0]))


if __name__ == "__main__":
    run_command(Config, main)
