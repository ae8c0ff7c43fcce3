"""The order of samples, and the epoch that each sample belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import torch
from torch.utils.data import DistributedSampler


class EpochSampler(DistributedSampler):
    """Yields (epoch, index), so that augmentation differs between epochs also in workers that live on.

    Shuffled by (seed, epoch); each process of a distributed training gets its own share. Each pass is one
    epoch further; Lightning, which calls `set_epoch` before each, also takes it to the right epoch when it
    resumes.
    """

    def __init__(self, dataset: Sized, seed: int = 0, shuffle: bool = True) -> None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        super().__init__(
            dataset,
            num_replicas=torch.distributed.get_world_size() if distributed else 1,
            rank=torch.distributed.get_rank() if distributed else 0,
            shuffle=shuffle,
            seed=seed,
        )

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(epoch, index) of this process's share of one epoch."""
        epoch = self.epoch
        indices = super().__iter__()
        self.epoch = epoch + 1
        return ((epoch, index) for index in indices)
