"""What kept maps cost before they are made: bytes, minutes, and the grid that a budget of bytes allows."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from configs.errors import UserError
from configs.files import bytes_free
from distill.teacher_maps.compute import MapComputer
from distill.teacher_maps.store import MapWriter, bytes_needed

DISK_RESERVE = 1.02  # of the bytes needed: predictions, records and file headers beside the maps
SMALLEST_GRID = 4  # cells a side; coarser maps tell no places apart


def fitting_grid(crops: int, views: int, channels: int, grid: int, max_gb: float) -> int:
    """The side of maps that fit into `max_gb` (1e9 bytes; 0: no limit): `grid`, or its half, quarter, ...

    Halves, so that every kept cell is the mean of whole cells. Raises UserError when even the smallest grid
    does not fit.
    """

    def needed(side: int) -> float:
        return bytes_needed((crops, views, channels, side, side)) * DISK_RESERVE

    chosen = grid
    while max_gb and needed(chosen) > max_gb * 1e9:
        if chosen % 2 or chosen // 2 < SMALLEST_GRID:
            raise UserError(
                f"max_gb={max_gb:g}: {crops:,} crops in {views} views of {channels} channels need "
                f"{size_text(needed(chosen))} on a grid of {chosen} already. Take fewer --views, a --layer "
                "of fewer channels, or more --max-gb."
            )
        chosen //= 2
    return chosen


def print_disk(shape: tuple[int, ...], wanted_grid: int, output_dir: Path) -> None:
    """Bytes that maps of `shape`, (crops, views, C, grid, grid), will take, and bytes there are."""
    crops, views, channels, grid, _ = shape
    needed, free = size_text(bytes_needed(shape)), size_text(bytes_free(output_dir))
    pooled = "" if grid == wanted_grid else f", pooled from {wanted_grid} to fit --max-gb"
    print(
        f"disk needed: {needed} ({crops:,} crops x {views} views x {channels} channels x {grid} x {grid} "
        f"cells{pooled}, half precision); {free} free",
        flush=True,
    )


def print_time(computer: MapComputer, shape: tuple[int, ...], batch_size: int, processes: int) -> None:
    """Minutes, from a second batch of views, the first being slower."""
    count = min(batch_size, shape[0])
    for _ in range(2):
        start = time.perf_counter()
        computer.maps(torch.stack([computer.numbered.clean(row, 0) for row in range(count)]))
        seconds = time.perf_counter() - start
    rate = count / seconds * processes
    minutes = shape[0] * shape[1] / rate / 60
    print(f"time: about {minutes:.1f} minutes at {rate:.0f} views/s, without the labeller")


def refuse_full_disk(writer: MapWriter, unfinished: list[int]) -> None:
    """Raise UserError unless the unfinished shards fit the disk."""
    crops = sum(len(writer.rows(shard)) for shard in unfinished)
    needed = int(bytes_needed((crops, *writer.shape[1:])) * DISK_RESERVE)
    free = bytes_free(writer.folder)
    if needed > free:
        raise UserError(
            f"{writer.folder}: {needed:,} bytes are needed for the maps, {free:,} are free. Take fewer "
            "--views, a smaller --grid (or let --max-gb choose it), a --layer of fewer channels, or another "
            "--output-dir."
        )


def size_text(count: float) -> str:
    """Bytes for reading: `1.25 GB`, `3.0 MB`."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
