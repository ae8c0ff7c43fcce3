"""The Lightning trainer that every training command shares: what it writes, when it stops."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import UserError, did_you_mean
from configs.files import write_json
from teacher.training.options import GRADIENT_CLIP

if TYPE_CHECKING:
    from pytorch_lightning import Callback, LightningModule, Trainer

PRECISIONS = ("32", "bf16-mixed", "16-mixed", "bf16-true", "64")


def build_trainer(
    output_dir: Path,
    epochs: int,
    monitor: str,
    mode: str,
    save_best: Callable[[LightningModule], Any],
    seed: int = 0,
    precision: str = "32",
    devices: int = 1,
    deals_batches: bool = False,
    max_minutes: float = 0.0,
    gradient_clip: float = GRADIENT_CLIP,
    callbacks: Sequence[Callback] = (),
    trained_on: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Trainer:
    """A trainer that writes into `output_dir`.

    `last.ckpt` after each epoch, the three best `epoch=NN-NAME=VALUE.ckpt` by `monitor`, `metrics.csv` (a
    row an epoch), `tensorboard/`; `save_best(module)` is called at each improvement. max_minutes: 0 for
    no limit. deals_batches: the loaders share out their batches themselves, else samples are dealt out; not
    every parameter need then take part in every step. trained_on: of `teacher.training.resume`, kept in the
    checkpoints.
    """
    from pytorch_lightning import Trainer
    from pytorch_lightning.callbacks import TQDMProgressBar
    from pytorch_lightning.loggers import TensorBoardLogger

    from teacher.training.callbacks import (
        AtomicCheckpointIO,
        BestWeights,
        EndedFromOutside,
        MetricsTable,
        MinutesBudget,
        NumbersOnly,
        ReseedEachStep,
        TrainedOn,
    )
    from teacher.training.precision import usable_precision

    if precision not in PRECISIONS:
        hint = did_you_mean(precision, PRECISIONS)
        raise UserError(f"precision {precision!r} is unknown; allowed: {', '.join(PRECISIONS)}.{hint}")
    num_nodes = nodes()
    quiet_lightning()
    watching: list[Callback] = [ReseedEachStep(seed), NumbersOnly(), EndedFromOutside(), *callbacks]
    if trained_on is not None:
        watching.append(TrainedOn(trained_on))
    if progress:
        watching.append(TQDMProgressBar(refresh_rate=10))
    if max_minutes:
        watching.append(MinutesBudget(max_minutes))
    watching += [
        MetricsTable(output_dir / "metrics.csv"),
        BestWeights(monitor, mode, save_best),
        *_checkpoints(output_dir, monitor, mode),  # after the others, so that they hold their state
    ]
    return Trainer(
        max_epochs=epochs,
        precision=usable_precision(precision),
        devices=devices,
        num_nodes=num_nodes,
        strategy="ddp_find_unused_parameters_true" if deals_batches and devices * num_nodes > 1 else "auto",
        use_distributed_sampler=not deals_batches,
        accelerator="auto",
        gradient_clip_val=gradient_clip or None,
        callbacks=watching,
        plugins=[AtomicCheckpointIO()],
        logger=TensorBoardLogger(output_dir, name="tensorboard", version="", default_hp_metric=False),
        log_every_n_steps=20,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=progress,
        default_root_dir=output_dir,
    )


def nodes() -> int:
    """On how many machines this process was started, by torchrun or by SLURM; else 1.

    As Lightning does, SLURM's interactive shells and single processes are left out.
    """
    found = os.environ
    if "LOCAL_WORLD_SIZE" in found:
        return max(int(found.get("WORLD_SIZE", 1)) // int(found["LOCAL_WORLD_SIZE"]), 1)
    if "SLURM_NTASKS" not in found or found.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return 1
    return int(found.get("SLURM_NNODES") or found.get("SLURM_JOB_NUM_NODES") or 1)


def _checkpoints(output_dir: Path, monitor: str, mode: str) -> tuple[Callback, Callback]:
    """What saves the three best by `monitor`; and the last, after it, so that it holds its state."""
    from pytorch_lightning.callbacks import ModelCheckpoint

    name = monitor.rpartition("/")[2]
    keep = {"dirpath": output_dir, "save_on_train_epoch_end": True, "enable_version_counter": False}
    best_three = ModelCheckpoint(
        filename=f"epoch={{epoch:03d}}-{name}={{{monitor}:.3f}}",
        auto_insert_metric_name=False,
        monitor=monitor,
        mode=mode,
        save_top_k=3,
        **keep,
    )
    return best_three, ModelCheckpoint(filename="last", **keep)


def write_best_metrics(output_dir: Path, trainer: Trainer, monitor: str) -> None:
    """`metrics.json`: the measures of the epoch with the highest `monitor`, that of `best.ckpt`."""
    if not trainer.is_global_zero:
        return
    measures, epoch, epochs = best_measures(trainer, monitor, "max")
    write_json(output_dir / "metrics.json", {**measures, "epoch": epoch, "epochs": epochs})


def best_measures(trainer: Trainer, monitor: str, mode: str) -> tuple[dict[str, float], int, int]:
    """The validation measures of the epoch with the best `monitor` (mode: min or max), without their `val/`;
    which epoch it was, and of how many.
    """
    from teacher.training.callbacks import MetricsTable

    (table,) = (callback for callback in trainer.callbacks if isinstance(callback, MetricsTable))
    best = (min if mode == "min" else max)(table.rows, key=lambda row: row[monitor])
    measures = {name.removeprefix("val/"): value for name, value in best.items() if name.startswith("val/")}
    return measures, best["epoch"], len(table.rows)


def quiet_lightning() -> None:
    """Keep Lightning's device banners and advice out of the output; errors and our own lines stay."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    advice = (
        ".*does not have many workers.*",
        ".*smaller than the logging interval.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*The dirpath has changed from.*",
        ".*is not configured, using the following.*",
        ".*GPU available but not used.*",
        ".*in eval mode at the start of training.*",  # the frozen blocks, on purpose
        ".*LeafSpec.*",
    )
    for message in advice:
        warnings.filterwarnings("ignore", message=message)
