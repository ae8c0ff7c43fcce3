"""Cached features of a backbone's frozen blocks, so that training steps begin behind them.

prefix.npy    (ears, views, inputs, h, w, C) float16, memory-mapped; inputs: 1, or 2 where steps see pairs
prefix.json   what it was computed from, and how many ears are finished; written last, so that it never lies

The frozen blocks see the augmented input, so their output is kept for each of the few views that
`data.loading.repeated` draws in turn. A folder may serve many trainings: as long as frozen weights, ears and
views are the same it is only read.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from configs.errors import UserError
from configs.files import full_disk_is_a_user_error, reserve_blocks, write_json
from configs.provenance import plain
from configs.reading.content import read_json
from data.loading.repeated import RepeatedCrops
from data.loading.workers import prepare_worker
from data.manifest import fingerprint
from data.tensors import to_signed
from teacher.training.precision import has_bfloat16

TOKENS, RECORD = "prefix.npy", "prefix.json"
INPUTS = ("image", "second")  # of an item: what the backbone sees
RECORD_EVERY = 50  # batches, after which a killed computation goes on
DISK_RESERVE = 1.02
KEPT_AT_ONCE = 32  # views through the frozen blocks


class FrozenFeatures:
    """The items of `ears`, each with `tokens` (inputs, h, w, C) float16: see the top of the file."""

    def __init__(self, ears: RepeatedCrops, folder: Path) -> None:
        self.ears, self.folder = ears, folder
        self._tokens: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.ears)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """key: index, or (epoch, index) as EpochSampler gives it."""
        if self._tokens is None:
            self._tokens = np.load(self.folder / TOKENS, mmap_mode="r")
        item = self.ears[key]
        return {**item, "tokens": torch.from_numpy(self._tokens[item["index"], item["draw"]].copy())}

    def __getstate__(self) -> dict[str, Any]:
        """Workers map the file themselves: a pickled memory map would be the whole array."""
        return {**self.__dict__, "_tokens": None}


def with_frozen_features(
    folder: Path,
    backbone: nn.Module,
    ears: RepeatedCrops,
    drawn: dict[str, Any],
    num_workers: int,
    precision: str,
) -> FrozenFeatures:
    """`ears` with the features that `folder` caches, or will. drawn: how their views are drawn, by option."""
    drawn = {**plain(drawn), "ears_sha256": fingerprint(ears.manifest)}
    return cache_features(folder, backbone, ears, drawn, KEPT_AT_ONCE, num_workers, precision)


def cache_features(
    folder: Path,
    backbone: nn.Module,
    ears: RepeatedCrops,
    drawn: dict[str, Any],
    batch_size: int,
    num_workers: int = 0,
    precision: str = "32",
) -> FrozenFeatures:
    """`ears` with the cached output of `backbone.begin`; what the folder does not hold yet is computed.

    drawn: plain values that say which ears these are and how their views are drawn. precision: as Lightning
    names it; kept is half precision either way. Processes that come here together wait for the first.
    Raises UserError when the folder belongs to other weights or views, or the disk has no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        **drawn,
        "views": ears.draws,
        "inputs": [name for name in INPUTS if name in ears[0, 0]],
        "frozen_sha256": _frozen_sha256(backbone),
        "precision": precision,
    }
    with FileLock(folder / "prefix.lock"):
        finished = _finished(folder, settings, len(ears))
        if finished < len(ears):
            _compute(folder, backbone, ears, settings, finished, batch_size, num_workers)
    return FrozenFeatures(ears, folder)


def joined_tokens(tokens: Tensor, like: Tensor) -> Tensor:
    """(B, inputs, h, w, C) as a batch has them -> (inputs * B, h, w, C): all first views before the second.

    like: gives the precision.
    """
    return tokens.transpose(0, 1).flatten(0, 1).to(like.dtype)


def _compute(
    folder: Path,
    backbone: nn.Module,
    ears: RepeatedCrops,
    settings: dict[str, Any],
    finished: int,
    batch_size: int,
    num_workers: int,
) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = backbone.to(device)
    inputs = settings["inputs"]
    one = _begin(backbone, ears[0, 0]["image"][None].to(device), settings["precision"])
    shape = (len(ears), ears.draws, len(inputs), *one.shape[1:])
    tokens = _reserve(folder, shape, finished)
    per_batch = max(1, batch_size // ears.draws)
    loader = DataLoader(
        ears,
        per_batch * ears.draws,
        sampler=_Keys(range(finished, len(ears)), ears.draws),
        num_workers=num_workers,
        worker_init_fn=prepare_worker,
    )
    for number, batch in enumerate(tqdm(loader, desc="frozen blocks", unit="batch"), start=1):
        places = batch["index"].numpy(), batch["draw"].numpy()
        for place, name in enumerate(inputs):
            features = _begin(backbone, batch[name].to(device), settings["precision"])
            if not features.isfinite().all():
                raise UserError(
                    "the frozen blocks' output is not finite in half precision: train without it."
                )
            tokens[*places, place] = features.cpu().numpy()
        finished += len(set(places[0].tolist()))
        if number % RECORD_EVERY == 0 or finished == len(ears):
            tokens.flush()
            write_json(folder / RECORD, {"settings": settings, "shape": list(shape), "finished": finished})


class _Keys:
    """(view, index) of every view of some ears, an ear's views together."""

    def __init__(self, rows: range, views: int) -> None:
        self.rows, self.views = rows, views

    def __len__(self) -> int:
        return len(self.rows) * self.views

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((view, row) for row in self.rows for view in range(self.views))


@torch.no_grad()
def _begin(backbone: nn.Module, images: Tensor, precision: str) -> Tensor:
    """(B, 3, H, W) uint8 -> (B, h, w, C) float16."""
    device = images.device.type
    bf16 = precision.startswith("bf16") and has_bfloat16(device)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
        return backbone.begin(to_signed(images)).half()


def _finished(folder: Path, settings: dict[str, Any], ears: int) -> int:
    """How many ears the folder holds. Raises UserError when they are of other settings."""
    if not (folder / RECORD).is_file() or not (folder / TOKENS).is_file():
        return 0
    record = read_json(folder / RECORD)
    differ = [name for name, value in settings.items() if record["settings"].get(name) != value]
    if differ:
        raise UserError(
            f"{folder}: was kept with other {', '.join(differ)}. Choose another --prefix-dir, or delete it."
        )
    return min(record["finished"], ears)


def _reserve(folder: Path, shape: tuple[int, ...], finished: int) -> np.memmap:
    """The file of all tokens, opened or made. Raises UserError when the disk has no room for it."""
    if finished:
        return np.load(folder / TOKENS, mmap_mode="r+")
    needed, free = 2 * int(np.prod(shape, dtype=np.int64)), shutil.disk_usage(folder).free
    print(f"frozen blocks: {needed / 1e9:.2f} GB for {shape[0]:,} ears in {shape[1]} views", flush=True)
    if needed * DISK_RESERVE > free:
        raise UserError(
            f"{folder}: {needed:,} bytes are needed for the frozen blocks' output, {free:,} are free. Take "
            "fewer --train-views, a smaller input_size in --backbone-options, another --prefix-dir, or none."
        )
    with full_disk_is_a_user_error(folder):
        tokens = np.lib.format.open_memmap(folder / TOKENS, mode="w+", dtype=np.float16, shape=shape)
        reserve_blocks(folder / TOKENS)
    return tokens


def _frozen_sha256(backbone: nn.Module) -> str:
    """Of all that `begin` computes with: sizes, frozen blocks, patch embedding and positions."""
    digest = hashlib.sha256(repr((sorted(backbone.options.items()), backbone.frozen_layers)).encode())
    for name, parameter in backbone.named_parameters():
        if not parameter.requires_grad:
            digest.update(name.encode() + parameter.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()
