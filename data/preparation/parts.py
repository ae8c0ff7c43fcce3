"""What one input of `data.prepare` gave, on its way from reading to writing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from data.manifest import Manifest


@dataclass(frozen=True)
class Part:
    """Ears and images without ears of one input.

    side: "train", "val" or "test" where it was given, "" to be split. whole_frames: its images are
    photographs rather than crops. spoilt_images: paths that show an ear whose row was dropped, so that a
    detector must not learn from them. own_sides: image -> the side that the data set itself gives it.
    """

    side: str
    manifest: Manifest
    whole_frames: bool
    spoilt_images: frozenset[str] = frozenset()
    own_sides: Mapping[str, str] = field(default_factory=dict)

    @property
    def image_paths(self) -> list[str]:
        """Of its ears, row by row, and of its images without."""
        return [*self.manifest.image_paths.tolist(), *self.manifest.empty_images.tolist()]
