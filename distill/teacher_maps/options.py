"""What can be set of kept maps: the groups that `distill.cache` puts its Config together from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from configs.errors import UserError
from configs.groups import Fixed, Gone, Ignored, Renamed
from data.augmentation import GeometryConfig

PRECISIONS = ("32", "bf16-mixed")
CROP_PX = 128  # side of the landmarker's crops, whose maps are kept; the teacher sees them resized to its own
BATCH_SIZE = 32  # views at once; more changes the time a little and no result
CROPS_A_SHARD = 256  # 50 MB of 4 views of 96 channels: few files, and little is lost when a run is cut off
AGREEMENT_LIMIT = 0.05  # of the crop's side; where two readings lie further apart, a point is not used
PSEUDO_LABELLED = "pseudo_labelled.npy"  # the manifest that distill.label and distill.label_frames write
NOT_EARS = "not_ears.npy"  # the manifest that distill.hard_negatives writes
ACCEPTANCE = "acceptance.json"  # beside it: whether what labelled the frames was better than the twin
ACCEPTANCE_NME = 0.05  # largest of an admitted labeller; --acceptance-metrics is the stricter test


@dataclass(frozen=True)
class MapOptions:
    """Which maps are kept."""

    layer: str = "feat1"
    """Which map: backbone, feat1, feat2, feat3, dec8, dec16, dec32, ... (of an EarDetector also fused and its
    heatmaps; of a teacher of frames stage8, stage16, stage32, fused), or several joined by '+'.
    """
    grid: int = 16
    """Side of the kept maps, cells; finer ones are averaged, coarser ones interpolated."""
    max_gb: float = 0
    """Largest size of the maps, 1e9 bytes: a grid that needs more is halved until they fit; 0: no limit."""
    views: int = 4
    """Views of a crop: 1 plain, 2 and mirrored, more augmented by --geometry."""
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    """How the augmented views are drawn."""
    GONE: ClassVar[Mapping[str, Gone]] = {
        "crop_px": Fixed(CROP_PX, "every landmarker takes crops of that side"),
        "shard_crops": Ignored("how many crops a file has changes no result"),
        "batch_size": Ignored("it changes nothing but the time"),
    }

    def __post_init__(self) -> None:
        """Raise UserError for numbers below 1."""
        for name in ("grid", "views"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, at least 1 is needed.")


@dataclass(frozen=True)
class LabellerOptions:
    """Predicted points beside the maps."""

    ear_detector: Path | None = None
    """Also keep the points this fine-tuned EarDetector predicts, if it passes the acceptance test."""
    acceptance_npy: Path | None = None
    """Held-out labelled ears on which it is scored first: above an NME of 0.05 nothing is kept of it."""
    acceptance_metrics: Path | None = None
    """metrics.json of a twin (distill.train --no-distill): the labeller must also be better than it."""
    GONE: ClassVar[Mapping[str, Gone]] = {
        "gate_npy": Renamed("acceptance_npy"),
        "gate_metrics": Renamed("acceptance_metrics"),
        "gate_nme": Fixed(ACCEPTANCE_NME, "a twin's acceptance_metrics are the stricter test"),
    }

    def __post_init__(self) -> None:
        """Raise UserError for a labeller that cannot be tested."""
        if self.ear_detector is not None and self.acceptance_npy is None:
            raise UserError(
                "ear_detector is given without acceptance_npy: its predictions are admitted only after it "
                "has been scored on held-out labels. Give the labelled validation manifest as "
                "acceptance_npy."
            )


@dataclass(frozen=True)
class ComputeOptions:
    """Machine and reproducibility"""

    precision: str = "32"
    """Of the teacher's arithmetic: 32 or bf16-mixed. Maps are kept in half precision either way."""
    devices: int = 1
    """GPUs (or processes on the CPU) that share the shards, on each machine (docs/cluster.md)."""
    num_workers: int = 2
    """Processes that load crops."""
    seed: int = 0
    """Seed of the augmented views."""
    resume: str = "auto"
    """auto: keep the finished shards of an earlier run with the same settings; empty: compute all again."""

    def __post_init__(self) -> None:
        """Raise UserError for unknown values."""
        if self.precision not in PRECISIONS:
            raise UserError(f"precision {self.precision!r} is unknown; allowed: {', '.join(PRECISIONS)}.")
        if self.resume not in ("", "auto"):
            raise UserError(f"resume is {self.resume!r}; allowed: auto, or empty to compute all again.")
