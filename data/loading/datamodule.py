"""What Lightning trains on: ear crops from manifests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from configs.errors import UserError
from data.augmentation import GeometryConfig, PhotometryConfig
from data.dataset import EarCrops
from data.labels import choose_labelled, warn_of_measures
from data.landmarks import Scheme
from data.loading.pairs import PairedCrops
from data.loading.repeated import RepeatedCrops
from data.loading.sampler import EpochSampler
from data.loading.workers import prepare_worker
from data.manifest import Manifest, join_manifests, read_manifest, require_landmarks
from data.transforms import Geometry, Photometry

Manifests = str | os.PathLike | Sequence[str | os.PathLike]


class EarDataModule(pl.LightningDataModule):
    """Crops to train on, augmented, and to validate on, as they are; `EarCrops` says what a batch holds."""

    def __init__(
        self,
        train_npy: Manifests = "data/preprocessed/train_teacher.npy",
        val_npy: Manifests = "data/preprocessed/val_teacher.npy",
        batch_size: int = 32,
        num_workers: int = 2,
        out_px: int = 128,
        margin: float | None = None,
        geometry: GeometryConfig | None = None,
        photometry: PhotometryConfig | None = None,
        second_view: tuple[GeometryConfig, PhotometryConfig] | None = None,
        repeated_draws: int = 0,
        labels: int | float | None = None,
        num_landmarks: int | None = None,
        scheme: Scheme | None = None,
        seed: int = 0,
        cache_dir: str | os.PathLike | None = None,
    ) -> None:
        """train_npy, val_npy: one manifest or several, joined. margin: None for that of the manifests.
        geometry, photometry: None leaves that part out. second_view: how `data.loading.pairs.PairedCrops`
        draws a second view; None for items without one. repeated_draws: draw so many crops of each ear and
        repeat them; 0: a new one every epoch.

        labels: train on so many of the ears that have landmarks (int), or on that fraction of them (float
        below 1 or 1.0); None: on all ears. num_landmarks: refuse manifests with another number of points an
        ear.
        """
        super().__init__()
        self.train_npy, self.val_npy = train_npy, val_npy
        self.batch_size, self.num_workers, self.seed, self.labels = batch_size, num_workers, seed, labels
        self.num_landmarks = num_landmarks
        self._common = {
            "out_px": out_px,
            "margin": margin,
            "seed": seed,
            "scheme": scheme,
            "cache_dir": cache_dir,
        }
        self._geometry = None if geometry is None else Geometry(geometry, out_px)
        self._photometry = None if photometry is None else Photometry(photometry)
        self._second_view, self._repeated_draws = second_view, repeated_draws
        self.train_dataset: EarCrops | PairedCrops | RepeatedCrops | None = None
        self.val_dataset: EarCrops | None = None

    def setup(self, stage: str = "fit") -> None:
        """Read the manifests, once. Raises UserError for what is wrong with them."""
        if self.train_dataset is not None:
            return
        train, val = self._read(self.train_npy), self._read(self.val_npy)
        if self._common["margin"] is None:
            train.crops.require_same(val.crops, "train_npy", "val_npy")
        if self.labels is not None:
            train = train.select(choose_labelled(train, self.labels, self.seed))
        warn_of_measures(train.image_paths, val)
        self.train_dataset = EarCrops(
            train, geometry=self._geometry, photometry=self._photometry, **self._common
        )
        self.val_dataset = EarCrops(val, **self._common)
        if self._second_view is not None:
            geometry, photometry = self._second_view
            second = Geometry(geometry, self.train_dataset.out_px), Photometry(photometry)
            self.train_dataset = PairedCrops(self.train_dataset, *second)
        if self._repeated_draws:
            self.train_dataset = RepeatedCrops(self.train_dataset, self._repeated_draws)

    def train_dataloader(self) -> DataLoader:
        """Shuffled; the last, smaller batch is left out unless it is the only one."""
        return ear_loader(self.train_dataset, self.batch_size, self.num_workers, self.seed, train=True)

    def val_dataloader(self) -> DataLoader:
        """In the order of the manifest."""
        return ear_loader(self.val_dataset, self.batch_size, self.num_workers, self.seed, train=False)

    def _read(self, paths: Manifests) -> Manifest:
        several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        manifests = []
        for path in several:
            manifest = read_manifest(path)
            if len(manifest) == 0:
                raise UserError(f"{path}: holds {len(manifest.empty_images)} images but no ear.")
            if self.num_landmarks is not None:
                require_landmarks(manifest, self.num_landmarks, Path(path))
            manifests.append(manifest)
        return join_manifests(manifests)


def ear_loader(
    dataset: Any, batch_size: int, num_workers: int, seed: int, train: bool, collate_fn: Any = None
) -> DataLoader:
    """A loader whose samples know their epoch (training), or one in order (validation)."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(dataset, seed=seed) if train else None,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        worker_init_fn=prepare_worker,
        drop_last=train and len(dataset) >= batch_size,
        pin_memory=torch.cuda.is_available(),
        collate_fn=collate_fn,
    )
