"""Batches by step number, and how Lightning trains on them: in order, each process its share of a batch.

What step 700 sees depends on the seed and 700 alone. So the order survives a resume, no two workers repeat
each other, and a twin without a teacher can be given as many steps and images.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from data.loading.workers import prepare_worker


class EndlessOrder:
    """Rows in an order without end: all of them once, shuffled, then all again, shuffled otherwise."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self._round, self._order = -1, np.empty(0, int)

    def __call__(self, position: int) -> tuple[int, int]:
        """The row at a position, and how often all rows had their turn before."""
        number, place = divmod(position, self.rows)
        if number != self._round:
            self._round = number
            self._order = np.random.default_rng([self.seed, number]).permutation(self.rows)
        return int(self._order[place]), number


class StepBatches(Dataset):
    """Batches by step number, of which a process of several takes its share."""

    _dealt = slice(None)  # which slots of each part of a batch

    def share(self, rank: int, processes: int) -> StepBatches:
        """The same batches, of each part every `processes`-th example from the `rank`-th on."""
        mine = copy.copy(self)
        mine._dealt = slice(rank, None, processes)
        return mine


def positions(step: int, count: int) -> range:
    """Where a step's `count` examples lie in their endless order."""
    return range(step * count, (step + 1) * count)


class StepData(LightningDataModule):
    """Batches to train on, and the whole held-out set to validate on, in every process.

    A step of several processes is the step of one: its batch is dealt out among them.
    """

    def __init__(
        self,
        batches: StepBatches,
        val_loader: DataLoader,
        steps_per_round: int,
        first_round: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.batches, self._val_loader = batches, val_loader
        self.steps_per_round, self.first_round, self.num_workers = steps_per_round, first_round, num_workers

    def train_dataloader(self) -> DataLoader:
        """Called where Lightning has started all processes."""
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        share = self.batches.share(rank, processes)
        return step_loader(share, self.steps_per_round, self.first_round, self.num_workers)

    def val_dataloader(self) -> DataLoader:
        """The loader that was given."""
        return self._val_loader


class RoundSteps(Sampler[int]):
    """The steps of one round after the other; a round ends with a validation.

    Lightning calls `set_epoch` before every round, but takes the first iterator before that: `first_round`
    is where a resumed training begins.
    """

    def __init__(self, steps_per_round: int, first_round: int = 0) -> None:
        self.steps_per_round, self._round = steps_per_round, first_round

    def set_epoch(self, epoch: int) -> None:
        """Name the round that the next pass is for."""
        self._round = epoch

    def __len__(self) -> int:
        return self.steps_per_round

    def __iter__(self) -> Iterator[int]:
        start = self._round * self.steps_per_round
        return iter(range(start, start + self.steps_per_round))


def step_loader(batches: StepBatches, steps_per_round: int, first_round: int, num_workers: int) -> DataLoader:
    """A loader whose items are whole batches, in the order of steps."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=RoundSteps(steps_per_round, first_round),
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        worker_init_fn=prepare_worker,
        pin_memory=torch.cuda.is_available(),
    )
