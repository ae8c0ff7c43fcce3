"""Pseudo-labels of whole photographs: the ears that a detector finds, as a manifest.

    python -m distill.label_frames --detector runs/twin/student.pt --npy frames.npy

A detector that learnt from few frames labels the others for the next (`distill.train --student detector
--pseudo-labelled-npy`): STAC (Sohn et al., arXiv 2005.04757) with plain augmentation. Each box keeps its
score: what the detector is unsure of is then neither ear nor background, since an ear that is taken for
background teaches the opposite.

Writes `pseudo_labelled.npy` into the output folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from configs.command import run_command
from configs.errors import UserError
from distill.label import LABELLED

if TYPE_CHECKING:
    import torch

    from data.manifest import Manifest

VERSION = 3  # 2: frames are seen in two sizes; 3: in three views


@dataclass
class Config:
    """Let a detector find the ears of photographs; boxes that they have already are not looked at."""

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
    from configs.provenance import write_provenance
    from data.manifest import read_manifest, write_manifest
    from students.models.checkpoint import load_student

    detector = load_student(config.detector, "detector").eval()
    manifest = read_manifest(config.npy)
    labelled, photographs = label(detector, manifest, config.score)
    if len(labelled) == 0:
        raise UserError(
            f"{config.detector}: finds no ear with a score of {config.score} in {photographs:,} photographs "
            f"of {config.npy}. Lower --score, or train it for longer."
        )
    write_provenance(config.output_dir, config)
    write_manifest(config.output_dir / LABELLED, labelled)
    print(f"{len(labelled):,} boxes in {photographs:,} photographs")
    return config.output_dir


def label(detector: torch.nn.Module, manifest: Manifest, least: float) -> tuple[Manifest, int]:
    """The boxes found that score `least` or more, with the photographs that show none; and how many
    photographs there were.
    """
    import numpy as np
    from tqdm import tqdm

    from data.manifest import Manifest
    from students.evaluation.frame_detections import find_boxes, frames_of, photographs

    frames = frames_of(manifest)
    paths: list[str] = []
    empty: list[str] = []
    boxes: list[np.ndarray] = []
    all_scores: list[np.ndarray] = []
    for part, images in tqdm(photographs(frames), desc="frames", unit="batch"):
        for frame, (found, scores) in zip(frames[part], find_boxes(detector, images), strict=True):
            kept = scores >= least
            paths += [frame.path] * int(kept.sum())
            boxes.append(found[kept])
            all_scores.append(scores[kept])
            if not kept.any():
                empty.append(frame.path)
    labelled = Manifest(
        np.array(paths, dtype=str),
        np.concatenate(boxes),
        scores=np.concatenate(all_scores),
        empty_images=np.array(empty, dtype=str),
    )
    return labelled, len(frames)


if __name__ == "__main__":
    run_command(Config, main)
