"""Numbered crops: the views of an ear that the teacher sees, each by its number.

View 0 is the plain crop, view 1 the mirrored plain crop; views 2, 3, ... are drawn by
`data.transforms.Geometry` from a seed that depends on the ear and the number alone. So little has to be kept
to rebuild a view: its numbering, and a checksum of its pixels to notice when images, or what another version
of a library draws, have changed.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import UserError
from data.augmentation import GeometryConfig
from data.crops import MARGIN, compose, flip_matrix
from data.dataset import EarCrops, sample_seed
from data.manifest import Manifest, join_manifests, read_manifest
from data.transforms import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from distill.teacher_maps.store import KeptMaps

PLAIN, MIRRORED = 0, 1
FIRST_RANDOM = 2
CHECKED_VIEWS = 24  # of all, when a training starts; a decoded crop takes about a millisecond


@dataclass(frozen=True)
class CropNumbering:
    """What makes the views of a number reproducible; stands as "view" in the index of kept maps."""

    out_px: int = 128
    margin: float = MARGIN
    seed: int = 0
    geometry: GeometryConfig = field(default_factory=GeometryConfig)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and to compare."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CropNumbering:
        """The way back."""
        return cls(**{**values, "geometry": GeometryConfig(**values["geometry"])})


class NumberedCrops:
    """The ears of a manifest in numbered views. `crops`: the ears behind them."""

    def __init__(self, manifest: Manifest, numbering: CropNumbering) -> None:
        geometry = Geometry(numbering.geometry, numbering.out_px)
        cut = replace(manifest, crops=replace(manifest.crops, margin=numbering.margin))
        self.manifest, self.numbering = cut, numbering
        self.crops = EarCrops(cut, numbering.out_px, geometry=geometry)

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.manifest)

    def clean(self, row: int, number: int) -> Tensor:
        """What the teacher sees: (3, S, S) uint8."""
        return self.seen(row, number)[0]

    def seen(self, row: int, number: int) -> tuple[Tensor, np.ndarray]:
        """What the teacher sees, (3, S, S) uint8, and its matrix (2, 3) float32, photograph px -> view px."""
        seed = sample_seed(self.numbering.seed, number, row, "view") if number >= FIRST_RANDOM else None
        item = self.crops.view(row, seed)
        view, matrix = item["target"], item["matrix"].numpy()
        if number == MIRRORED:
            return view.flip(-1), compose(flip_matrix(self.numbering.out_px), matrix)
        return view, matrix


def crc32_of(view: Tensor) -> int:
    """Checksum of a view's pixels, (3, S, S) uint8."""
    return zlib.crc32(np.ascontiguousarray(view.numpy()))


def check_pixels(kept: KeptMaps, numbered: NumberedCrops) -> None:
    """Rebuild some views and compare their pixels with what the teacher saw. Raises UserError."""
    draw = np.random.default_rng(0)
    for _ in range(min(CHECKED_VIEWS, kept.crops * kept.views)):
        row, number = int(draw.integers(kept.crops)), int(draw.integers(kept.views))
        if crc32_of(numbered.clean(row, number)) != kept.view_crc32[row, number]:
            raise UserError(
                f"{kept.folder}: view {number} of crop {row} ({numbered.manifest.image_paths[row]}) is not "
                "what the teacher saw when the maps were kept. The image, or the version of a library that "
                "draws views, has changed. Run distill.cache again."
            )


def read_ears(*paths: Path) -> Manifest:
    """One manifest from several, joined. Raises UserError where one holds no ear."""
    manifests = [read_manifest(path) for path in paths]
    for path, manifest in zip(paths, manifests, strict=True):
        if len(manifest) == 0:
            raise UserError(f"{path}: holds {len(manifest.empty_images)} images but no ear.")
    return join_manifests(manifests)
