"""Kept maps: a folder of the teacher's maps, written once in shards and read memory-mapped.

index.json            what the maps are of, where they come from, checksums; written last
statistics.npz        mean (C,) and std (C,) of every channel over the training crops
shard_00000.npy       (crops, views, C, grid, grid) float16
shard_00000.json      its checksum and sums, and the matrix of each view; a shard without one is not finished
predictions_00000.npz points that the EarDetector predicts in the same views, if it was admitted
                      (`distill.teacher_maps.acceptance`)
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import UserError
from configs.files import write_atomic, write_json
from configs.reading.content import read_json
from data.crop_settings import CropSettings

FORMAT = 2
INDEX = "index.json"
PLAN = "plan.json"
STATISTICS = "statistics.npz"
MIN_STD = 1e-6  # a channel that never moves (a dead ReLU) is centred and otherwise left as it is


class KeptMaps:
    """The maps of a folder that `distill.cache` wrote.

    folder: holds a finished index. Raises UserError when it does not, or when files are missing or cut short.
    `layer`, `grid`, `channels`, `crops`, `views` describe the maps, `settings` where they come from;
    `mean` and `std` are (C,) float32.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.index = _read_index(self.folder)
        shape = self.index["shape"]
        self.crops, self.views, self.channels, self.grid, _ = shape
        self.settings: dict[str, Any] = self.index["settings"]
        self.layer: str = self.settings["layer"]
        self.crops_per_shard: int = self.index["crops_per_shard"]
        for shard in self.index["shards"]:
            _check_size(self.folder / shard["file"], shard["bytes"])
        with np.load(self.folder / STATISTICS, allow_pickle=False) as statistics:
            self.mean, self.std = statistics["mean"], statistics["std"]
        self._open_shards: dict[int, np.ndarray] = {}

    def read(self, row: int, view: int) -> np.ndarray:
        """The map of crop `row` in view `view`: (C, grid, grid) float16, a view into the file."""
        shard, offset = divmod(row, self.crops_per_shard)
        if shard not in self._open_shards:
            path = self.folder / self.index["shards"][shard]["file"]
            self._open_shards[shard] = np.load(path, mmap_mode="r", allow_pickle=False)
        return self._open_shards[shard][offset, view]

    @cached_property
    def predictions(self) -> dict[str, np.ndarray] | None:
        """points_unit (crops, views, K, 2), confidence and disagreement (crops, views, K), or None.

        points_unit lie in the frame of the view; disagreement is a fraction of the crop's side.
        """
        names = [shard["predictions"] for shard in self.index["shards"]]
        if not all(names):
            return None
        parts = [dict(np.load(self.folder / name, allow_pickle=False)) for name in names]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    @cached_property
    def view_crc32(self) -> np.ndarray:
        """(crops, views) uint32 checksums of the pixels the teacher saw."""
        return self._recorded("view_crc32", np.uint32)

    @cached_property
    def view_matrices(self) -> np.ndarray:
        """(crops, views, 2, 3) float32, px of the photograph -> px of the view that the teacher saw."""
        return self._recorded("view_matrix", np.float32)

    def _recorded(self, name: str, dtype: type) -> np.ndarray:
        records = [read_json(self.folder / shard["record"]) for shard in self.index["shards"]]
        return np.concatenate([np.array(record[name], dtype) for record in records])

    @property
    def crop_settings(self) -> CropSettings:
        """How the crops were cut, and what the points of the predictions are."""
        values = {"margin": self.settings["view"]["margin"]}
        if "scheme" not in self.settings:
            return CropSettings(**values)
        return CropSettings.from_plain(values | {"scheme": self.settings["scheme"]}, str(self.folder / INDEX))

    def verify(self) -> None:
        """Read every shard and compare its checksum. Raises UserError for the first that differs."""
        for shard in self.index["shards"]:
            if sha256_of(self.folder / shard["file"]) != shard["sha256"]:
                raise UserError(
                    f"{self.folder / shard['file']}: its contents are not what was written (checksum). Run "
                    "distill.cache again; it computes only the shards that are spoilt."
                )

    def require(self, wanted: Mapping[str, Any], whose: str) -> None:
        """Raises UserError unless the `settings` named in `wanted` are equal; `whose`: the other side."""
        for name, value in wanted.items():
            kept = self.settings.get(name)
            if kept != value:
                raise UserError(
                    f"{self.folder}: the maps do not belong to {whose}: {name} is {_short(kept)} there and "
                    f"{_short(value)} here. Run distill.cache again with the settings of this run, or give "
                    "this run those of the maps."
                )

    def __getstate__(self) -> dict[str, Any]:
        """Workers open the files themselves: a pickled memory map would be the whole array."""
        return {**self.__dict__, "_open_shards": {}}


@dataclass(frozen=True)
class Shard:
    """What is kept of some crops.

    maps: (n, views, C, grid, grid) float16; view_crc32: (n, views) uint32; view_matrix: (n, views, 2, 3);
    predictions: (n, views, ...) each.
    """

    maps: np.ndarray
    view_crc32: np.ndarray
    view_matrix: np.ndarray
    predictions: Mapping[str, np.ndarray] | None = None


class MapWriter:
    """Writes a folder of kept maps shard by shard; what another run has finished stays.

    folder: empty, or with shards of the same settings. shape: (crops, views, C, grid, grid) of all maps.
    Raises UserError when the folder holds maps of other settings.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], shape: tuple[int, ...], crops_per_shard: int
    ) -> None:
        self.folder, self.shape, self.crops_per_shard = folder, tuple(shape), crops_per_shard
        self.settings = dict(settings)
        self.plan = {"format": FORMAT, "settings": self.settings, "shape": list(shape)}
        self.plan["crops_per_shard"] = crops_per_shard
        if (folder / PLAN).is_file():
            _same_plan_or_error(folder, read_json(folder / PLAN), self.plan)
        else:
            write_json(folder / PLAN, self.plan)
        self.shards = -(-shape[0] // crops_per_shard)

    def rows(self, shard: int) -> range:
        """The crops of a shard."""
        return range(shard * self.crops_per_shard, min(self.shape[0], (shard + 1) * self.crops_per_shard))

    def unfinished(self) -> list[int]:
        """The shards still to be written; those on disk count only when their checksum holds."""
        return [shard for shard in range(self.shards) if not self._is_finished(shard)]

    def write(self, shard: int, kept: Shard) -> None:
        """Write one shard: the maps first, then the record that makes it count."""
        expected = (len(self.rows(shard)), *self.shape[1:])
        if kept.maps.shape != expected or kept.maps.dtype != np.float16:
            raise ValueError(
                f"shard {shard} is {kept.maps.shape} {kept.maps.dtype}, expected {expected} float16"
            )
        if not np.isfinite(kept.maps).all():
            raise UserError(
                f"the teacher's {self.settings['layer']} holds values that are not finite in half precision, "
                f"in crops {self.rows(shard)}. Take another layer, or see whether the teacher diverged."
            )
        maps = self.folder / _name(shard, "shard", "npy")
        write_atomic(maps, lambda path: np.save(path, kept.maps, allow_pickle=False), kept.maps.nbytes)
        predictions = None
        if kept.predictions is not None:
            arrays = dict(kept.predictions)
            predictions = _name(shard, "predictions", "npz")
            write_atomic(self.folder / predictions, lambda path: np.savez(path, **arrays))
        record = {
            "file": maps.name,
            "bytes": maps.stat().st_size,
            "sha256": sha256_of(maps),
            "predictions": predictions,
            "view_crc32": kept.view_crc32.tolist(),
            "view_matrix": kept.view_matrix.tolist(),
            **_channel_sums(kept.maps),
        }
        write_json(self.folder / _name(shard, "shard", "json"), record)

    def finish(self, extra: Mapping[str, Any] | None = None) -> Path:
        """Write statistics and index once every shard is there. Returns the index's path."""
        records = [read_json(self.folder / _name(shard, "shard", "json")) for shard in range(self.shards)]
        mean, std = _statistics(records, self.shape)
        write_atomic(self.folder / STATISTICS, lambda path: np.savez(path, mean=mean, std=std))
        keys = ("file", "bytes", "sha256", "predictions")
        shards = [
            {key: record[key] for key in keys} | {"record": _name(shard, "shard", "json")}
            for shard, record in enumerate(records)
        ]
        return write_json(self.folder / INDEX, {**self.plan, **(extra or {}), "shards": shards})

    def _is_finished(self, shard: int) -> bool:
        record_path = self.folder / _name(shard, "shard", "json")
        if not record_path.is_file():
            return False
        record = read_json(record_path)
        maps = self.folder / record["file"]
        predictions = record["predictions"]
        if not maps.is_file() or (predictions and not (self.folder / predictions).is_file()):
            return False
        return sha256_of(maps) == record["sha256"]


def remove_maps(folder: Path) -> None:
    """Remove kept maps, and nothing else, from a folder."""
    for pattern in (PLAN, INDEX, STATISTICS, "shard_*.*", "predictions_*.npz"):
        for path in folder.glob(pattern):
            path.unlink()


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_needed(shape: tuple[int, ...]) -> int:
    """Bytes on disk of maps of this shape in half precision."""
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(np.float16).itemsize


def _name(shard: int, what: str, suffix: str) -> str:
    return f"{what}_{shard:05d}.{suffix}"


def _read_index(folder: Path) -> dict[str, Any]:
    if not (folder / INDEX).is_file():
        state = "not finished" if (folder / PLAN).is_file() else "none"
        raise UserError(
            f"{folder}: no kept maps here ({INDEX}: {state}). Make them with `python -m distill.cache` and "
            "give its output folder."
        )
    index = read_json(folder / INDEX)
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise UserError(
            f"{folder / INDEX}: not an index of kept maps in format {FORMAT}; run distill.cache again."
        )
    return index


def _check_size(path: Path, size_bytes: int) -> None:
    found = path.stat().st_size if path.is_file() else None
    if found != size_bytes:
        state = "is missing" if found is None else f"has {found:,} bytes instead of {size_bytes:,}"
        raise UserError(f"{path} {state}. Run distill.cache again; it computes only what is missing.")


def _same_plan_or_error(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    flat_found, flat_wanted = ({**plan, **plan["settings"]} for plan in (found, wanted))
    for name in {**flat_wanted, **flat_found}:
        found_value, value = flat_found.get(name), flat_wanted.get(name)
        if name != "settings" and found_value != value:
            raise UserError(
                f"{folder}: holds maps of other settings: {name} is {_short(found_value)} there and "
                f"{_short(value)} now. Choose another --output-dir, or delete the folder."
            )


def _channel_sums(maps: np.ndarray) -> dict[str, list[float]]:
    """Sum and sum of squares of each channel, float64. maps: (n, views, C, grid, grid)."""
    sums, squares = np.zeros(maps.shape[2]), np.zeros(maps.shape[2])
    for crop in maps:  # one crop at a time: a shard in double precision is four times its size
        exact = crop.astype(np.float64)
        sums += exact.sum(axis=(0, 2, 3))
        squares += np.square(exact).sum(axis=(0, 2, 3))
    return {"sum": sums.tolist(), "sum_of_squares": squares.tolist()}


def _statistics(records: list[dict[str, Any]], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over all crops, views and locations: (C,) float32 each."""
    crops, views, _, height, width = shape
    count = crops * views * height * width
    mean = np.sum([record["sum"] for record in records], axis=0) / count
    mean_of_squares = np.sum([record["sum_of_squares"] for record in records], axis=0) / count
    std = np.sqrt(np.maximum(mean_of_squares - mean**2, 0))
    return mean.astype(np.float32), np.where(std < MIN_STD, 1.0, std).astype(np.float32)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}..."
