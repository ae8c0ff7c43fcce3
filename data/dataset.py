"""Datasets: ears as crops, photographs as letterboxed frames.

An item's augmentation follows from (seed, epoch, index) alone, so no two workers or epochs repeat each other
and every view can be made again. `data.loading.sampler.EpochSampler` hands the epoch to the workers with each
index.
"""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from data import crops
from data.images import image_size, read_image
from data.loading.cache import PixelCache
from data.manifest import Manifest
from data.tensors import planes

if TYPE_CHECKING:
    from data.landmarks import Scheme
    from data.transforms import FrameAugmentation, Geometry, Photometry

CACHED_FRAME = 1.5  # longest side of a kept frame over the letterbox: as much as augmentation enlarges


class EarCrops:
    """One ear an item, as a square crop of its box and margin.

    Items are dicts of tensors:
    - image (3, S, S) uint8, and target, the same view before photometry;
    - points_px (K, 2) float32, px of the view, 0 where not annotated; visibility (K,) uint8, 0 also for
      points that augmentation moved out of view; both absent when the manifest has no landmarks;
    - matrix (2, 3) float32, photograph px -> view px; box_xyxy (4,) float32, px of the photograph; index.
    """

    def __init__(
        self,
        manifest: Manifest,
        out_px: int = 128,
        margin: float | None = None,
        geometry: Geometry | None = None,
        photometry: Photometry | None = None,
        seed: int = 0,
        scheme: Scheme | None = None,
        cache_dir: str | os.PathLike | None = None,
        ram_limit_mb: float = 1024,
    ) -> None:
        """The border round the box, and how indices swap under mirroring, are those of `manifest.crops`.

        Photographs are decoded once and kept as crops: in memory up to `ram_limit_mb`, else in a file in
        `cache_dir` (the temporary folder unless given), with room round the view for `geometry` to turn it.
        """
        self.manifest, self.out_px, self.seed = manifest, out_px, seed
        self.margin = manifest.crops.margin if margin is None else margin
        self.geometry, self.photometry = geometry, photometry
        scheme = manifest.crops.scheme if scheme is None else scheme
        self.flip_indices = np.asarray(scheme.flip) if _fits(manifest, scheme) else None
        self._border = 0 if geometry is None else crops.context_border_px(out_px)
        self._cache = PixelCache(len(manifest), out_px + 2 * self._border, cache_dir, ram_limit_mb)
        self._photographs = Photographs(manifest)

    def drawn_as(
        self,
        geometry: Geometry,
        photometry: Photometry,
        seed: int | None = None,
        manifest: Manifest | None = None,
    ) -> EarCrops:
        """The same ears, augmented otherwise; what is decoded is shared. Only for those with a geometry.

        manifest: of the same ears, with other landmarks.
        """
        assert self.geometry is not None, "crops without room round them cannot be turned"
        other = copy.copy(self)
        other.geometry, other.photometry = geometry, photometry
        other.seed = self.seed if seed is None else seed
        other.manifest = self.manifest if manifest is None else manifest
        return other

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.manifest)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """key: index, or (epoch, index) as EpochSampler gives it. Raises UserError for unreadable images."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        index = range(len(self))[index]
        geometry_seed = None if self.geometry is None else sample_seed(self.seed, epoch, index, "geometry")
        photometry_seed = None if self.photometry is None else sample_seed(self.seed, epoch, index, "light")
        return self.view(index, geometry_seed, photometry_seed)

    def view(
        self, index: int, geometry_seed: int | None = None, photometry_seed: int | None = None
    ) -> dict[str, Any]:
        """The ear at `index` under chosen augmentation; a seed of None leaves that part out."""
        clean, points, matrix = self._clean_view(index, geometry_seed)
        image = clean if photometry_seed is None else self.photometry(clean, photometry_seed)
        item = {
            "image": planes(image),
            "target": planes(clean),
            "matrix": torch.from_numpy(matrix),
            "box_xyxy": torch.from_numpy(self.manifest.boxes_xyxy[index].copy()),
            "index": index,
        }
        if points is not None:
            visibility = self.manifest.visibility[index].copy()
            if self.flip_indices is not None and crops.mirrors(matrix):
                points, visibility = points[self.flip_indices], visibility[self.flip_indices]
            if geometry_seed is not None:
                inside = ((points >= -0.5) & (points <= self.out_px - 0.5)).all(axis=1)
                visibility[~inside] = 0
            item["points_px"] = torch.from_numpy(np.nan_to_num(points))
            item["visibility"] = torch.from_numpy(visibility)
        return item

    def _clean_view(
        self, index: int, geometry_seed: int | None
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """View (S, S, 3) uint8, points (K, 2) in its px or None, and photograph px -> view px."""
        context, to_context = self._context(index), self._context_matrix(index)
        landmarks = None if self.manifest.landmarks is None else self.manifest.landmarks[index]
        if geometry_seed is None:
            border, end = self._border, self._border + self.out_px
            view, to_view = context[border:end, border:end], crops.shift_matrix(-border, -border)
        else:
            view, _, to_view = self.geometry(context, np.zeros((0, 2), np.float32), geometry_seed)
        matrix = crops.compose(to_view, to_context)
        return view, None if landmarks is None else crops.apply(matrix, landmarks), matrix

    def _context_matrix(self, index: int) -> np.ndarray:
        to_view = crops.crop_matrix(self.manifest.boxes_xyxy[index], self.out_px, self.margin)
        return crops.compose(crops.shift_matrix(self._border, self._border), to_view)

    def _context(self, index: int) -> np.ndarray:
        kept = self._cache.get(index)
        if kept is None:
            photograph = read_image(str(self.manifest.image_paths[index]))
            # all its ears at once: decoding is what takes time
            for row in self._photographs.rows(self._photographs.number[index]):
                self._cache.put(row, crops.crop(photograph, self._context_matrix(row), self._cache.side_px))
            kept = self._cache.get(index)
        return kept


class Frames:
    """One photograph an item, letterboxed to a square with grey 114, with all its ears; or with none.

    With augmentation a square view of it instead. Items: image (3, S, S) uint8 tensor; boxes_xyxy (n, 4)
    float32 px of it; rows (n,) int64, the ears' rows in the manifest; matrix (2, 3) float32, photograph px ->
    image px; flipped (bool); path; index.
    """

    def __init__(
        self,
        manifest: Manifest,
        size_px: int = 320,
        augmentation: FrameAugmentation | None = None,
        seed: int = 0,
        cache_dir: str | os.PathLike | None = None,
        ram_limit_mb: float = 1024,
    ) -> None:
        """With augmentation, frames are kept, at most 1.5 letterboxes wide; without, they are read anew."""
        self.manifest, self.size_px, self.augmentation, self.seed = manifest, size_px, augmentation, seed
        self._photographs = Photographs(manifest)
        paths = [*self._photographs.paths(manifest), *manifest.empty_images.tolist()]
        self.paths = list(dict.fromkeys(paths))
        self._kept_px = round(size_px * CACHED_FRAME)
        self._cache = (
            None
            if augmentation is None
            else PixelCache(len(self.paths), self._kept_px, cache_dir, ram_limit_mb)
        )
        self._shapes: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        """Number of photographs."""
        return len(self.paths)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """key: index, or (epoch, index) as EpochSampler gives it."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        return self.view(index, epoch)

    def view(self, index: int, epoch: int = 0, out_px: int | None = None) -> dict[str, Any]:
        """The photograph at `index` as `epoch` draws it; out_px: the side of an augmented view, the
        letterbox's unless given.
        """
        index = range(len(self))[index]
        rows = self._photographs.rows(index)
        boxes = self.manifest.boxes_xyxy[rows]
        if self.augmentation is None:
            frame = read_image(self.paths[index])
            matrix = crops.letterbox_matrix(*frame.shape[:2], self.size_px)
            image, flipped = crops.crop(frame, matrix, self.size_px), False
            boxes = crops.apply_to_boxes(matrix, boxes)
        else:
            frame, to_frame = self._kept_frame(index)
            seed = sample_seed(self.seed, epoch, index, "frame")
            moved = self.augmentation(frame, crops.apply_to_boxes(to_frame, boxes), seed, out_px)
            image, boxes, flipped, rows = moved.image, moved.boxes_xyxy, moved.flipped, rows[moved.kept]
            matrix = crops.compose(moved.matrix, to_frame)
        return {
            "image": planes(image),
            "boxes_xyxy": torch.from_numpy(boxes),
            "rows": torch.from_numpy(rows),
            "matrix": torch.from_numpy(matrix),
            "flipped": flipped,
            "path": self.paths[index],
            "index": index,
        }

    def _kept_frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The shrunk frame (h, w, 3), and photograph px -> its px."""
        path = self.paths[index]
        if index not in self._shapes:
            self._shapes[index] = image_size(path)
        height, width = self._shapes[index]
        shrink = min(1.0, self._kept_px / max(height, width))
        small = (max(2, round(height * shrink)), max(2, round(width * shrink)))
        kept = self._cache.get(index)
        if kept is None:
            slot = np.full((self._kept_px, self._kept_px, 3), crops.GREY, dtype=np.uint8)
            shrunk = cv2.resize(read_image(path), small[::-1], interpolation=cv2.INTER_AREA)
            slot[: small[0], : small[1]] = shrunk
            self._cache.put(index, slot)
            kept = slot
        x_scale, y_scale = small[1] / width, small[0] / height
        matrix = np.array(
            [[x_scale, 0, (x_scale - 1) / 2], [0, y_scale, (y_scale - 1) / 2]], dtype=np.float32
        )
        return kept[: small[0], : small[1]], matrix


def collate_frames(items: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch: image (B, 3, S, S) and matrix (B, 2, 3) stacked, everything else as lists of length B."""
    batch: dict[str, Any] = {name: [item[name] for item in items] for name in items[0]}
    batch["image"] = torch.stack(batch["image"])
    batch["matrix"] = torch.stack(batch["matrix"])
    return batch


def sample_seed(seed: int, epoch: int, index: int, part: str) -> int:
    """A seed of its own for each part of each sample of each epoch, 0 .. 2**32 - 1."""
    words = [seed, epoch, index, *part.encode()]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


class Photographs:
    """Which ears lie in one photograph. Three numbers an ear: a list for each photograph takes far more.

    number: (N,) of each ear's photograph, counted from 0 in the order of the manifest.
    """

    def __init__(self, manifest: Manifest) -> None:
        numbers: dict[str, int] = {}
        paths = manifest.image_paths
        found = (numbers.setdefault(str(path), len(numbers)) for path in paths)
        self.number = np.fromiter(found, dtype=np.int64, count=len(paths))
        self._order = np.argsort(self.number, kind="stable")
        self._ends = np.cumsum(np.bincount(self.number, minlength=len(numbers)))

    def rows(self, number: int) -> np.ndarray:
        """(n,) int64, the ears of a photograph, ascending; none for one beyond those with ears."""
        if number >= len(self._ends):
            return np.empty(0, dtype=np.int64)
        return self._order[self._ends[number - 1] if number else 0 : self._ends[number]]

    def paths(self, manifest: Manifest) -> list[str]:
        """Of all photographs with ears."""
        first = self._order[np.concatenate(([0], self._ends[:-1]))] if len(self._ends) else self._order
        return manifest.image_paths[first].tolist()


def _fits(manifest: Manifest, scheme: Scheme) -> bool:
    """Whether the scheme is of as many points as the ears have."""
    return manifest.landmarks is not None and manifest.landmarks.shape[1] == len(scheme)
