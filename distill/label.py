"""Pseudo-labels: what a landmarker says of ears without labels, as a manifest.

    python -m distill.label --landmarker runs/student/student.pt --npy ears.npy

A student that learnt from an EarDetector and errs less than it can teach it in turn
(`teacher.finetune --pseudo-labelled-npy`): a transformer and a small convolutional network err differently,
and each is told what it would not have found (co-training: Blum & Mitchell, COLT 1998).

Writes `pseudo_labelled.npy` into the output folder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from configs.command import run_command
from data.crops import MARGIN

if TYPE_CHECKING:
    import numpy as np

    from data.dataset import EarCrops
    from distill.teacher_maps.frozen_teacher import FrozenTeacher

LABELLED = "pseudo_labelled.npy"


@dataclass
class Config:
    """Let a landmarker label ears; landmarks that they have already are not looked at."""

    landmarker: Path
    """student.pt of distill.train --student landmarker."""
    npy: Path
    """Manifest of the ears."""
    output_dir: Path = Path("runs/labels")
    """Folder of the manifest."""
    agreement_limit: float = 0.05
    """A point that the ear and its mirror image disagree on by this part of the crop is not labelled."""
    margin: float = MARGIN
    """Border around the box, as a fraction of its longer side."""
    scheme: Path | None = None
    """Landmark description (what mirroring swaps); without one, the project's 17 points."""
    batch_size: int = 64
    """Crops at once."""


def main(config: Config) -> Path:
    """Label the ears; returns the output folder. Raises UserError as manifests and students do."""
    import numpy as np

    from configs.provenance import write_provenance
    from data.dataset import EarCrops
    from data.landmarks import load_scheme
    from data.manifest import NOT_ANNOTATED, VISIBLE, write_manifest
    from distill.teacher_maps.frozen_teacher import FrozenTeacher
    from distill.teacher_maps.numbered_crops import read_ears

    landmarker = FrozenTeacher.load_landmarker(config.landmarker)
    manifest = read_ears(config.npy)
    ears = EarCrops(replace(manifest, landmarks=None, visibility=None), landmarker.image_px, config.margin)
    landmarks, agreed = label(
        landmarker, ears, load_scheme(config.scheme).flip, config.agreement_limit, config.batch_size
    )
    write_provenance(config.output_dir, config)
    visibility = np.where(agreed, VISIBLE, NOT_ANNOTATED).astype(np.uint8)
    labelled = replace(manifest, landmarks=landmarks, visibility=visibility)
    write_manifest(config.output_dir / LABELLED, labelled)
    print(f"{len(manifest):,} ears, {agreed.mean():.1%} of their points labelled")
    return config.output_dir


def label(
    landmarker: FrozenTeacher, ears: EarCrops, flip: list[int], agreement_limit: float, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points of all ears (N, K, 2) float32, px of their photographs, and which are agreed on (N, K) bool."""
    import numpy as np
    import torch
    from tqdm import tqdm

    from data import crops
    from data.tensors import to_signed
    from distill.teacher_maps.pseudo_labels import predict_points

    points, agreed = [], []
    for start in tqdm(range(0, len(ears), batch_size), desc="ears", unit="batch"):
        items = [ears[row] for row in range(start, min(start + batch_size, len(ears)))]
        found = predict_points(landmarker, to_signed(torch.stack([item["image"] for item in items])), flip)
        found_px = found.points_unit.numpy() * ears.out_px - 0.5
        pairs = zip(items, found_px, strict=True)
        points += [crops.apply(crops.invert(item["matrix"].numpy()), values) for item, values in pairs]
        agreed.append((found.disagreement < agreement_limit).numpy())
    return np.stack(points).astype(np.float32), np.concatenate(agreed)


if __name__ == "__main__":
    run_command(Config, main)
