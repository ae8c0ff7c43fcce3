"""Pseudo-labels of whole photographs: the ears that a detector finds, as a manifest.

    python -m distill.label_frames --detector runs/twin/student.pt --npy frames.npy

A detector that learnt from few frames labels the others for the next (`distill.train --student detector
--pseudo-labelled-npy`): STAC (Sohn et al., arXiv 2005.04757) with plain augmentation. Frames in which it is
unsure of a box are left out, since an ear that is taken for background teaches the opposite.

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


@dataclass
class Config:
    """Let a detector find the ears of photographs; boxes that they have already are not looked at."""

    detector: Path
    """student.pt of distill.train --student detector."""
    npy: Path
    """Manifest of the photographs."""
    output_dir: Path = Path("runs/frame_labels")
    """Folder of the manifest."""
    sure: float = 0.5
    """Boxes with at least this score are ears."""
    unsure: float = 0.15
    """A photograph with a box from this score on, but below `sure`, is left out."""

    def __post_init__(self) -> None:
        """Raise UserError for scores that make no sense."""
        if not 0 < self.unsure <= self.sure < 1:
            raise UserError(f"unsure={self.unsure}, sure={self.sure}: 0 < unsure <= sure < 1 is needed.")


def main(config: Config) -> Path:
    """Label the photographs; returns the output folder. Raises UserError as manifests and students do, and
    where not one ear is found.
    """
    from configs.provenance import write_provenance
    from data.manifest import read_manifest, write_manifest
    from students.checkpoint import load_student

    detector = load_student(config.detector, "detector").eval()
    manifest = read_manifest(config.npy)
    labelled, photographs, left_out = label(detector, manifest, config.sure, config.unsure)
    if len(labelled) == 0:
        raise UserError(
            f"{config.detector}: finds no ear with a score of {config.sure} in {photographs:,} photographs "
            f"of {config.npy}. Lower --sure, or train it for longer."
        )
    write_provenance(config.output_dir, config)
    write_manifest(config.output_dir / LABELLED, labelled)
    print(
        f"{len(labelled):,} ears in {photographs - left_out:,} photographs; {left_out:,} left out as unsure"
    )
    return config.output_dir


def label(
    detector: torch.nn.Module, manifest: Manifest, sure: float, unsure: float
) -> tuple[Manifest, int, int]:
    """The ears found, with the photographs that show none; how many photographs there were, and how many of
    them are left out.
    """
    import numpy as np
    from tqdm import tqdm

    from data.manifest import Manifest
    from students.frames import find_boxes, frames_of, photographs

    frames = frames_of(manifest)
    paths: list[str] = []
    empty: list[str] = []
    boxes: list[np.ndarray] = []
    left_out = 0
    for part, images in tqdm(photographs(frames), desc="frames", unit="batch"):
        for frame, (found, scores) in zip(frames[part], find_boxes(detector, images), strict=True):
            certain = scores >= sure
            if (~certain & (scores >= unsure)).any():
                left_out += 1
            elif certain.any():
                paths += [frame.path] * int(certain.sum())
                boxes.append(found[certain])
            else:
                empty.append(frame.path)
    found_xyxy = np.concatenate(boxes) if boxes else np.empty((0, 4), np.float32)
    labelled = Manifest(np.array(paths, dtype=str), found_xyxy, empty_images=np.array(empty, dtype=str))
    return labelled, len(frames), left_out


if __name__ == "__main__":
    run_command(Config, main)
