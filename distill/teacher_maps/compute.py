"""Runs a teacher over numbered crops and hands its maps, shard by shard, to the writer of kept maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from data.loading.workers import prepare_worker
from data.tensors import to_signed
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.numbered_crops import NumberedCrops, crc32_of
from distill.teacher_maps.pseudo_labels import predict_views
from distill.teacher_maps.store import MapWriter, Shard


class MapComputer:
    """Maps of `layer` on a `grid`, and the labeller's points once `labeller` is set.

    flip: (K,), permutation of the points under mirroring, for the labeller.
    """

    def __init__(
        self,
        teacher: FrozenTeacher,
        numbered: NumberedCrops,
        layer: str,
        grid: int,
        device: torch.device,
        flip: Sequence[int] = (),
    ) -> None:
        self.teacher, self.numbered, self.layer, self.grid = teacher, numbered, layer, grid
        self.device, self.flip = device, flip
        self.labeller: FrozenTeacher | None = None

    def channels(self) -> int:
        """Channels of the map, found by asking the teacher once. Raises UserError for an unknown layer."""
        return self.maps(self.numbered.clean(0, 0)[None]).shape[1]

    def maps(self, images: Tensor) -> np.ndarray:
        """images: (B, 3, S, S) uint8 -> (B, C, grid, grid) float16."""
        maps = self.teacher.maps(to_signed(images.to(self.device)), self.layer, self.grid)
        return maps.half().cpu().numpy()

    def maps_and_predictions(self, views: Tensor) -> dict[str, np.ndarray]:
        """views: (R, V, 3, S, S) uint8 -> maps (R * V, C, grid, grid), float16; with a labeller also
        points_unit (R * V, K, 2), confidence and disagreement (R * V, K).
        """
        if self.labeller is None:
            return {"maps": self.maps(views.flatten(0, 1))}
        signed, direct = to_signed(views.to(self.device)), None
        if self.labeller is self.teacher:
            maps, direct = self.teacher.maps_and_reading(signed.flatten(0, 1), self.layer, self.grid)
        else:
            maps = self.teacher.maps(signed.flatten(0, 1), self.layer, self.grid)
        found = predict_views(self.labeller, signed, self.flip, direct)
        predictions = {name: values.float().cpu().numpy() for name, values in found._asdict().items()}
        return {"maps": maps.half().cpu().numpy(), **predictions}

    def write_shards(
        self, writer: MapWriter, shards: Sequence[int], batch_size: int, num_workers: int
    ) -> None:
        """Compute and write the given shards. batch_size: views at once."""
        views = writer.shape[1]
        rows = [row for shard in shards for row in writer.rows(shard)]
        loader = DataLoader(
            _AllViews(self.numbered, rows, views),
            max(1, batch_size // views),
            num_workers=num_workers,
            worker_init_fn=prepare_worker,
        )
        waiting, parts = list(shards), []
        for images, crc32, matrices in tqdm(loader, desc="maps", unit="batch"):
            seen = {"view_crc32": crc32.flatten().numpy().astype(np.uint32)}
            parts.append(
                self.maps_and_predictions(images) | seen | {"view_matrix": matrices.flatten(0, 1).numpy()}
            )
            while waiting and _count(parts) >= len(writer.rows(waiting[0])) * views:
                shard = waiting.pop(0)
                arrays, parts = _cut(parts, len(writer.rows(shard)), views)
                seen = [arrays.pop(name) for name in ("maps", "view_crc32", "view_matrix")]
                writer.write(shard, Shard(*seen, arrays or None))


class _AllViews:
    """Rows as all their clean views, (V, 3, S, S) uint8, their checksums (V,) int64, and the matrices
    (V, 2, 3) float32 from the photograph to them.
    """

    def __init__(self, numbered: NumberedCrops, rows: list[int], views: int) -> None:
        self.numbered, self.rows, self.views = numbered, rows, views

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        seen = [self.numbered.seen(self.rows[index], number) for number in range(self.views)]
        views, matrices = zip(*seen, strict=True)
        checksums = torch.tensor([crc32_of(view) for view in views])
        return torch.stack(views), checksums, torch.from_numpy(np.stack(matrices))


def _count(parts: list[dict[str, np.ndarray]]) -> int:
    return sum(len(part["maps"]) for part in parts)


def _cut(
    parts: list[dict[str, np.ndarray]], crops: int, views: int
) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    """The first crops * views entries of the joined parts as (crops, views, ...) arrays, and what is left."""
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    count = crops * views
    first = {name: values[:count].reshape(crops, views, *values.shape[1:]) for name, values in joined.items()}
    return first, [{name: values[count:] for name, values in joined.items()}]
