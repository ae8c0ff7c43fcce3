"""How well the SAM-VAE reconstructs held-out ears: `python -m teacher.evaluate --checkpoint ... --npy
...`.

Writes `metrics.json` (PSNR, SSIM, errors, each with a bootstrap 95 % interval, and how well latents tell
ears apart), `reconstructions.png` (originals above, reconstructions below; ears spread over the manifest)
and `worst.png`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from configs.command import run_command
from configs.files import write_json
from configs.groups import Gone, Ignored
from configs.provenance import write_provenance
from data.bootstrap import interval_of_mean
from data.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from teacher.models.autoencoder import Autoencoder

DRAWS, SEED = 2000, 0  # of the bootstrap
PICTURED = 24  # ears in each of the two pictures


@dataclass(frozen=True)
class Config:
    """Reconstruction quality of a trained teacher on a manifest."""

    checkpoint: Path
    """A trained teacher (teacher.train, teacher.margin)."""
    npy: Path
    """Manifest of held-out ears."""
    output_dir: Path = Path("runs/teacher_eval")
    """Where everything is written."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "pictured": Ignored("the pictures show 24 ears"),
        "batch_size": Ignored("it changes nothing but the time"),
        "num_workers": Ignored("it changes nothing but the time"),
        "seed": Ignored("intervals are drawn with one seed, so that they compare"),
    }


def main(config: Config) -> Path:
    """Measure and draw; returns the output folder."""
    from data.draw import write_picture
    from teacher.checkpoint import require_margin
    from teacher.models.embeddings import best_device
    from teacher.models.teachers import load_teacher

    model = load_teacher(config.checkpoint).to(best_device())
    manifest = read_manifest(config.npy)
    require_margin(manifest.crops, model.crops, f"{config.npy}", f"{config.checkpoint}")
    quality, latents = measure(model, manifest)
    output_dir = Path(config.output_dir)
    write_provenance(output_dir, config)
    write_json(output_dir / "metrics.json", summary(quality, latents))
    spread = np.linspace(0, len(manifest) - 1, min(PICTURED, len(manifest))).round().astype(int)
    worst = np.argsort(quality["ssim"], kind="stable")[:PICTURED]
    for name, rows in (("reconstructions", spread), ("worst", worst)):
        write_picture(output_dir / f"{name}.png", _pairs(model, manifest.select(rows)))
    return output_dir


def measure(model: Autoencoder, manifest: Manifest) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Quality by ear, each (N,) (see `teacher.vae_training.quality`), and latent means (N, latent_dim)."""
    import torch
    from tqdm import tqdm

    from data.tensors import to_signed
    from teacher.models.embeddings import crop_batches
    from teacher.vae_training.quality import reconstruction_quality

    model.eval()
    device = next(model.parameters()).device
    found: list[dict[str, np.ndarray]] = []
    latents = []
    with torch.inference_mode():
        for batch in tqdm(crop_batches(model, manifest), desc="reconstructing", unit="batch"):
            target = to_signed(batch["image"].to(device))
            reconstruction, mu, _ = model(target)
            quality = reconstruction_quality(reconstruction, target)
            found.append({name: values.cpu().numpy() for name, values in quality.items()})
            latents.append(mu.float().cpu().numpy())
    joined = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    return joined, np.concatenate(latents)


def summary(quality: dict[str, np.ndarray], latents: np.ndarray) -> dict:
    """Means over ears, `NAME_interval` beside each, and `latent_cosine`: the mean absolute cosine between
    the latents of different ears, 0 for latents that tell all ears apart, 1 for latents that are all
    alike.
    """
    import torch

    from teacher.vae_training.quality import latent_cosine

    report: dict = {"ears": len(latents)}
    for name, values in quality.items():
        report[name] = round(float(values.mean()), 5)
        report[f"{name}_interval"] = [round(bound, 5) for bound in interval_of_mean(values, DRAWS, SEED)]
    report["latent_cosine"] = round(latent_cosine(torch.from_numpy(latents)), 5)
    return report


def _pairs(model: Autoencoder, manifest: Manifest) -> np.ndarray:
    import torch

    from data.tensors import to_signed
    from teacher.models.embeddings import crop_batches
    from teacher.pictures import pairs_grid, to_pixels

    batch = next(iter(crop_batches(model, manifest, len(manifest))))
    target = to_signed(batch["image"]).to(next(model.parameters()).device)
    with torch.inference_mode():
        return pairs_grid(to_pixels(target), to_pixels(model(target)[0]))


if __name__ == "__main__":
    run_command(Config, main)
