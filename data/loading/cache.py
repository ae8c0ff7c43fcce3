"""Decoded pictures kept between epochs and shared between the workers of a data loader."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from configs.files import full_disk_is_a_user_error, reserve_blocks


class PixelCache:
    """`count` pictures (side, side, 3) uint8, each filled once, by whichever process needs it first.

    Up to `ram_limit_mb` they lie in memory that forked workers share; beyond that, or when a folder is given,
    in a file that every worker maps. The file goes with the process that made it.
    """

    def __init__(
        self, count: int, side_px: int, folder: str | os.PathLike | None = None, ram_limit_mb: float = 1024
    ) -> None:
        """Raises UserError when the disk has no room for the file."""
        self.count, self.side_px = count, side_px
        bytes_needed = self._bytes()
        in_ram = folder is None and bytes_needed <= ram_limit_mb * 2**20
        self.path = None if in_ram else _reserve(Path(folder or tempfile.gettempdir()), bytes_needed)
        if self.path is not None:
            weakref.finalize(self, _remove, self.path, os.getpid())
        self._map()

    def get(self, index: int) -> np.ndarray | None:
        """(side, side, 3) uint8, not to be written to; None when it was not put yet."""
        return self._pixels[index] if self._filled[index] else None

    def put(self, index: int, pixels: np.ndarray) -> None:
        """Keep (side, side, 3) uint8. Two workers that put the same picture write the same bytes."""
        self._pixels[index] = pixels
        self._filled[index] = 1

    def _bytes(self) -> int:
        return max(1, self.count * (self.side_px**2 * 3 + 1))

    def _map(self) -> None:
        if self.path is None:
            buffer = mmap.mmap(
                -1, self._bytes()
            )  # anonymous and shared: forked workers see each other's pictures
        else:
            with self.path.open("r+b") as file:
                buffer = mmap.mmap(file.fileno(), self._bytes())
        shape = (self.count, self.side_px, self.side_px, 3)
        self._filled = np.frombuffer(buffer, dtype=np.uint8, count=self.count)
        self._pixels = np.frombuffer(
            buffer, dtype=np.uint8, offset=self.count, count=int(np.prod(shape))
        ).reshape(shape)

    def __getstate__(self) -> dict[str, Any]:
        """To a spawned worker: a file is mapped again, memory starts empty there."""
        return {"count": self.count, "side_px": self.side_px, "path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map()


def _reserve(folder: Path, bytes_needed: int) -> Path:
    """A file with all its blocks, for mapping."""
    with full_disk_is_a_user_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="pinna-crops-", suffix=".bin", dir=folder)
        os.close(handle)
        try:
            os.truncate(name, bytes_needed)
            reserve_blocks(Path(name))
        except OSError:
            os.unlink(name)
            raise
    return Path(name)


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:
        path.unlink(missing_ok=True)
