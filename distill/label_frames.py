"""Pseudo-labels of whole photographs: the boxes that a detector finds, as a manifest.

    python -m distill.label_frames --detector runs/twin/student.pt --npy frames.npy

A detector trained on few labelled frames labels the others for the next (`distill.train --student detector
--pseudo-labelled-npy`): STAC (Sohn et al., arXiv 2005.04757) with plain augmentation. Each box keeps its
score, so that the next training can ignore boxes of low score: an ear counted as background would be
trained against.

Writes `pseudo_labelled.npy` into the output folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from configs.command import run_command
from configs.errors import UserError
from configs.provenance import write_provenance
from distill.teacher_maps.options import PSEUDO_LABELLED

VERSION = 3  # 2: frames are seen in two sizes; 3: in three views


@dataclass(frozen=True)
class Config:
    """Let a detector find the ears of photographs; boxes that they have already are not read."""

    detector: Path
    """student.pt of distill.train --student detector."""
    npy: Path
    """Manifest of the photographs."""
    output_dir: Path = Path("runs/frame_labels")
    """Folder of the manifest."""
    score: float = 0.3
    """Boxes with at least this score are kept; what scores less is background."""

    def __post_init__(self) -> None:
        """Raise UserError for a score that makes no sense."""
        if not 0 < self.score < 1:
            raise UserError(f"score={self.score}: a number between 0 and 1 is needed.")


def main(config: Config) -> Path:
    """Label the photographs; returns the output folder. Raises UserError as manifests and students do, and
    where not one ear is found.
    """
    from data.manifest import read_manifest, write_manifest
    from distill.teacher_maps.labelled_frames import pseudo_labelled_frames
    from students.models.checkpoint import load_student

    detector = load_student(config.detector, "detector").eval()
    labelled, photographs = pseudo_labelled_frames(detector, read_manifest(config.npy), config.score)
    if len(labelled) == 0:
        raise UserError(
            f"{config.detector}: finds no ear with a score of {config.score} in {photographs:,} photographs "
            f"of {config.npy}. Lower --score, or train it for longer."
        )
    write_provenance(config.output_dir, config)
    write_manifest(config.output_dir / PSEUDO_LABELLED, labelled)
    print(f"{len(labelled):,} boxes in {photographs:,} photographs")
    return config.output_dir


if __name__ == "__main__":
    run_command(Config, main)
