"""Hard negatives: what a detector takes for ears and is none, as a manifest.

    python -m distill.hard_negatives --detector students/pretrained/detector.pt --frames-npy FRAMES.npy

A landmarker that is trained on them too (`distill.train --not-ears-npy`) tells ears from them. Ears are the
boxes of the manifests, labels or a teacher's (distill.label_frames); what lies near one is left out.
Mining of hard negatives: Felzenszwalb et al., Object Detection with Discriminatively Trained Part-Based
Models, PAMI 2010, sec. 4.4. Writes `not_ears.npy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from configs.command import run_command
from configs.errors import UserError
from configs.provenance import write_provenance


@dataclass(frozen=True)
class Config:
    """Find what a detector takes for ears in photographs whose ears are known."""

    detector: Path
    """student.pt of a detector, or best.ckpt of teacher.frames."""
    frames_npy: tuple[Path, ...]
    """Manifests of photographs with all their ears: labelled, or of distill.label_frames with a low score."""
    output_dir: Path = Path("runs/hard_negatives")
    """Folder of the manifest."""


def main(config: Config) -> Path:
    """Write the manifest; returns the output folder. Raises UserError as manifests and models do, and where
    nothing is found.
    """
    from data.manifest import join_manifests, read_manifest, write_manifest
    from distill.teacher_maps.hard_negatives import LEAST_SCORE, hard_negatives
    from distill.teacher_maps.options import NOT_EARS
    from students.evaluation.box_finders import load_box_finder

    detector = load_box_finder(config.detector)
    found = join_manifests([hard_negatives(detector, read_manifest(path)) for path in config.frames_npy])
    if len(found) == 0:
        raise UserError(
            f"{config.detector}: takes nothing for an ear that is none, with a score from {LEAST_SCORE:g} on."
        )
    write_provenance(config.output_dir, config)
    write_manifest(config.output_dir / NOT_EARS, found)
    print(f"{len(found):,} boxes that are no ears, in {len(set(found.image_paths.tolist())):,} photographs")
    return config.output_dir


if __name__ == "__main__":
    run_command(Config, main)
