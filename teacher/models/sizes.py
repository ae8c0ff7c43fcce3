"""Sizes that several models share, as options. No heavy imports: commands read them for --help."""

from __future__ import annotations

from dataclasses import dataclass

from configs.errors import UserError


@dataclass(frozen=True)
class FusionSizes:
    """Sizes of the fused map, the one that EarDetector reads everything from.

    Raises UserError for sizes below 1 (stem_channels: below 0).
    """

    width: int = 64
    """Channels."""
    cells: int = 32
    """Cells a side, and of EarDetector's heatmaps."""
    stem_channels: int = 32
    """Channels of the convolutions on the pixels; 0: none."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name, least in (("width", 1), ("cells", 1), ("stem_channels", 0)):
            if getattr(self, name) < least:
                raise UserError(f"fusion: {name}={getattr(self, name)}: at least {least} is needed")
