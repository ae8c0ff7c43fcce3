"""What happens around a training: checkpoints, the table of metrics, a budget of minutes, pictures."""

from __future__ import annotations

import csv
import io
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import SIGTERMException

from configs.errors import UserError
from configs.files import write_text
from teacher.checkpoint import write_torch
from teacher.training.resume import TRAINED_ON

ASKED_EVERY = 20  # steps, after which is asked what a device or another process has to be waited for


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints through `write_atomic`: a full disk is a clear error and the old file stays
    whole.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        write_torch(path, checkpoint)


class BestWeights(Callback):
    """Calls `save(module)` whenever `monitor` improves at the end of an epoch; remembers the best over a
    resume.
    """

    def __init__(self, monitor: str, mode: str, save: Callable[[LightningModule], Any]) -> None:
        if mode not in ("max", "min"):
            raise ValueError(f"mode {mode!r} is neither 'max' nor 'min'")
        self.monitor, self.sign, self.save = monitor, 1 if mode == "max" else -1, save
        self.best: float | None = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = trainer.callback_metrics.get(self.monitor)
        if value is None or (self.best is not None and self.sign * float(value) <= self.sign * self.best):
            return
        self.best = float(value)
        if trainer.is_global_zero:
            self.save(pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]


class MetricsTable(Callback):
    """Rewrites `path` (CSV) after every epoch: one row an epoch. A resumed training continues the table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        row |= {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self.rows.append(row)
        if trainer.is_global_zero:
            self._write()

    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            for row in self.rows
        )
        write_text(self.path, text.getvalue())

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]


class TrainedOn(Callback):
    """Writes what a training is trained on (`teacher.training.resume.trained_on`) into its checkpoints."""

    def __init__(self, trained_on: Mapping[str, Any]) -> None:
        self.trained_on = dict(trained_on)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[TRAINED_ON] = self.trained_on


class NumbersOnly(Callback):
    """Ends a training that has lost its weights, before it overwrites a checkpoint with them.

    Raises UserError where the loss is no number any more, and some weight neither.
    """

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        if trainer.global_step % ASKED_EVERY and not trainer.is_last_batch:
            return
        if torch.isfinite(outputs["loss"]) or all(p.isfinite().all() for p in pl_module.parameters()):
            return
        raise UserError(
            f"the training has diverged: after step {trainer.global_step} the loss is "
            f"{float(outputs['loss'])} and weights are no numbers either. What was saved before stays. Train "
            f"with a lower lr, or in precision 32 instead of {trainer.precision}."
        )


class EndedFromOutside(Callback):
    """A training that SIGTERM ends (kill, a batch queue's time limit) ends with 143.

    Lightning ends it with 0, and a pipeline would take what is there for a finished training.
    """

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, SIGTERMException):
            exception.code = 128 + signal.SIGTERM


class MinutesBudget(Callback):
    """Ends a training cleanly (validation, checkpoints) after so many minutes, those before a resume too.

    max_minutes: 0 for no limit; the minutes are counted all the same, for a later resume with one.
    """

    def __init__(self, max_minutes: float) -> None:
        self.max_minutes = max_minutes
        self.used_s = 0.0
        self._last = 0.0

    @property
    def fraction(self) -> float:
        """Of the budget that is used, 0 to 1; 0 without a limit."""
        return min(self.used_s / (60 * self.max_minutes), 1.0) if self.max_minutes else 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._last = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        now = time.monotonic()
        self.used_s, self._last = self.used_s + now - self._last, now
        if trainer.world_size > 1 and trainer.global_step % ASKED_EVERY:
            return
        # All processes have to stop at the same batch.
        if trainer.strategy.broadcast(self.fraction >= 1):
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"used_s": self.used_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.used_s = state_dict["used_s"]


class ReseedEachStep(Callback):
    """Seeds torch by (seed, step, process), so that a resumed training draws the noise the uninterrupted
    one would have.

    Once an epoch is not enough: a resumed epoch opens its loader, which draws too, earlier than a later
    epoch does.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        torch.manual_seed((self.seed * 10_007 + trainer.global_step) * 1_009 + trainer.global_rank)
