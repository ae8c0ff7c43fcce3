"""What a teacher's maps know of landmarks: a linear reader on each frozen map.

One 1x1 convolution to a heatmap a landmark, read by soft-argmax; it learns from half of the ears
and is measured on the others. A map that tells one fold from another gives a low error, whatever its
reconstructions look like: so it shows early in a training whether the teacher will be worth distilling, and
which of its maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from configs.errors import UserError
from data.dataset import EarCrops
from data.manifest import Manifest, read_manifest, sources_of
from data.metrics import nme
from data.tensors import to_signed
from teacher.models.autoencoder import Autoencoder
from teacher.models.heatmaps import heatmap_loss, soft_argmax

PROBE_CELLS = 16  # coarser maps are enlarged to this grid: soft-argmax needs cells to weigh
FINEST_CELLS = 32  # finer maps are left out: a linear reader of a few pixels sees no anatomy
PYRAMID = "pyramid"  # all maps of the encoder side by side
PROBE_STEPS, PROBE_BATCH, PROBE_LR = 150, 64, 0.03
READ_BATCH = 50


class LandmarkProbe(Callback):
    """Logs `val/probe_MAP` for every map but the decoder's after each validation of a teacher's training."""

    def __init__(self, npy: Path, image_px: int, seed: int = 0) -> None:
        """npy: manifest of labelled ears. Raises UserError when it has no landmarks."""
        self._crops = ProbeEars.of(read_manifest(npy), npy, 0, seed).at(image_px)
        self._seed = seed

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for name, error in probe(pl_module.model, self._crops, self._seed, decoder_maps=False).items():
            pl_module.log(f"val/probe_{name}", error, sync_dist=True)


@dataclass(frozen=True)
class ProbeCrops:
    """Crops with their landmarks, and which of them the reader learns from."""

    images: Tensor  # (N, 3, S, S) uint8
    points_px: Tensor  # (N, K, 2)
    visibility: Tensor  # (N, K)
    training: np.ndarray  # (N,) bool


@dataclass(frozen=True)
class ProbeEars:
    """Labelled ears; the reader learns from half of their sources."""

    manifest: Manifest
    training: np.ndarray  # (N,) bool

    @classmethod
    def of(cls, manifest: Manifest, path: Path, ears: int, seed: int) -> ProbeEars:
        """At most `ears` of them (0: all). Raises UserError for fewer than two labelled sources."""
        labelled = (
            np.zeros(len(manifest), bool)
            if manifest.landmarks is None
            else (manifest.visibility > 0).any(axis=1)
        )
        rows = np.random.default_rng([seed, 29]).permutation(np.flatnonzero(labelled))
        chosen = manifest.select(np.sort(rows[: ears or None]))
        names, source = np.unique(sources_of(chosen), return_inverse=True)
        if len(names) < 2:
            raise UserError(
                f"{path}: {len(names)} labelled source(s), the probe needs at least two: one to learn from, "
                "another to measure on."
            )
        first_half = np.random.default_rng([seed, 31]).permutation(len(names)) < (len(names) + 1) // 2
        return cls(chosen, first_half[source])

    def at(self, image_px: int) -> ProbeCrops:
        """Cut out."""
        crops = EarCrops(self.manifest, image_px)
        items = [crops[row] for row in range(len(crops))]
        stacked = {
            name: torch.stack([item[name] for item in items]) for name in ("image", "points_px", "visibility")
        }
        return ProbeCrops(stacked["image"], stacked["points_px"], stacked["visibility"], self.training)


def probe(
    model: Autoencoder, crops: ProbeCrops, seed: int = 0, decoder_maps: bool = True
) -> dict[str, float]:
    """Mean NME of a linear reader on each map, by name: the pyramid's, `pyramid`, the decoder's.

    The model is left as it was, in training or not; the random state too.
    """
    was_training = model.training
    maps = _read_maps(model.eval(), crops.images, decoder_maps)
    model.train(was_training)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False), torch.enable_grad():
        torch.manual_seed(seed)
        return {name: reader_error(values, crops) for name, values in maps.items()}


@torch.no_grad()
def _read_maps(model: Autoencoder, images: Tensor, decoder_maps: bool) -> dict[str, Tensor]:
    """name -> (N, C, h, h) float32 on the CPU, each channel of zero mean and unit spread."""
    device = next(model.parameters()).device
    batches: list[dict[str, Tensor]] = []
    for batch in images.split(READ_BATCH):
        maps: dict[str, Tensor] = dict(model.feature_maps(to_signed(batch.to(device))))
        if decoder_maps:
            mu, _ = model.encoder.latent(maps["feat3"])
            decoded = model.decoder.features(mu)
            maps |= {name: values for name, values in decoded.items() if values.shape[-1] <= FINEST_CELLS}
        batches.append({name: values.float().cpu() for name, values in maps.items()})
    gathered = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    gathered = {name: _standardised(_enlarged(values)) for name, values in gathered.items()}
    finest = max(gathered[name].shape[-1] for name in model.encoder.map_channels)
    side_by_side = [_enlarged(gathered[name], finest) for name in model.encoder.map_channels]
    return {**gathered, PYRAMID: torch.cat(side_by_side, dim=1)}


def _enlarged(maps: Tensor, cells: int = PROBE_CELLS) -> Tensor:
    if maps.shape[-1] >= cells:
        return maps
    return F.interpolate(maps, size=(cells, cells), mode="bilinear", align_corners=False)


def _standardised(maps: Tensor) -> Tensor:
    std, mean = torch.std_mean(maps, dim=(0, 2, 3), keepdim=True)
    return (maps - mean) / (std + 1e-5)


def reader_error(maps: Tensor, crops: ProbeCrops) -> float:
    """Mean NME of a linear reader trained on half of the ears. maps: (N, C, h, h), standardised."""
    image_px = crops.images.shape[-1]
    training = torch.from_numpy(np.flatnonzero(crops.training))
    points_unit = (crops.points_px + 0.5) / image_px
    reader = nn.Conv2d(maps.shape[1], points_unit.shape[1], 1)
    nn.init.zeros_(reader.weight)
    nn.init.zeros_(reader.bias)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=PROBE_LR, weight_decay=0.01)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, PROBE_STEPS)
    for _ in range(PROBE_STEPS):
        rows = training[torch.randperm(len(training))[:PROBE_BATCH]]
        optimizer.zero_grad()
        heatmap_loss(reader(maps[rows]), points_unit[rows], crops.visibility[rows]).backward()
        optimizer.step()
        falling.step()
    with torch.no_grad():
        found_unit, _ = soft_argmax(reader(maps[~torch.from_numpy(crops.training)]))
    measured = ~crops.training
    found_px = found_unit.numpy() * image_px - 0.5
    errors = nme(found_px, crops.points_px.numpy()[measured], crops.visibility.numpy()[measured])
    return float(np.nanmean(errors))
