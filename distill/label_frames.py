"""Pseudo-labels of whole photographs: the boxes that a detector finds, as a manifest.

    python -m distill.label_frames --detector runs/frame_teacher/best.ckpt --photographs FOLDER

What finds them is a teacher of frames, or a student detector that was trained on few labelled frames; the
next one is trained on them (`distill.train --student detector --pseudo-labelled-npy`): STAC (Sohn et al.,
arXiv 2005.04757) with plain augmentation. Each box keeps its score, so that the next training can ignore
boxes of low score: an ear counted as background would be trained against. Photographs in which nothing is
found are a lesson too: they show no ear.

Writes `pseudo_labelled.npy` into the output folder, and with --twin `acceptance.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_json
from configs.groups import Gone, Renamed
from configs.provenance import write_provenance
from distill.teacher_maps.options import ACCEPTANCE, PSEUDO_LABELLED

VERSION = 4  # 2: frames are seen in two sizes; 3: in three views; 4: teachers of frames


@dataclass(frozen=True)
class Config:
    """Let a detector find the ears of photographs."""

    detector: Path
    """best.ckpt of teacher.frames, or student.pt of distill.train --student detector."""
    photographs: Path
    """A folder of them, a .txt with one name a line, or a manifest, whose boxes are not read."""
    output_dir: Path = Path("runs/frame_labels")
    """Folder of the manifest."""
    landmarker: Path | None = None
    """student.pt of a landmarker: boxes are rescored and refined by the points it predicts in them."""
    score: float = 0.3
    """Boxes with at least this score are kept; what scores less is background."""
    twin: Path | None = None
    """student.pt of a detector trained on the labels alone: what is found is trained on only where the
    labeller is better than it on acceptance_npy.
    """
    acceptance_npy: Path | None = None
    """Held-out labelled frames for that test."""
    GONE: ClassVar[Mapping[str, Gone]] = {"npy": Renamed("photographs")}

    def __post_init__(self) -> None:
        """Raise UserError for a score that makes no sense, and for half a test."""
        if not 0 < self.score < 1:
            raise UserError(f"score={self.score}: a number between 0 and 1 is needed.")
        if (self.twin is None) != (self.acceptance_npy is None):
            raise UserError(
                "twin and acceptance_npy go together: the labeller is compared with the twin there."
            )


def main(config: Config) -> Path:
    """Label the photographs; returns the output folder. Raises UserError as manifests and models do, and
    where not one ear is found.
    """
    from data.manifest import read_manifest, write_manifest
    from data.preparation.photographs import photographs_of
    from distill.teacher_maps.labelled_frames import (
        FrameLabeller,
        judge_frame_labeller,
        pseudo_labelled_frames,
    )
    from students.evaluation.box_finders import load_box_finder
    from students.evaluation.point_readers import load_point_reader

    reader = None if config.landmarker is None else load_point_reader(config.landmarker, is_teacher=False)
    labeller = FrameLabeller(load_box_finder(config.detector), reader)
    acceptance = None
    if config.twin is not None:
        held_out = read_manifest(config.acceptance_npy)
        acceptance = judge_frame_labeller(labeller, config.twin, held_out, config.acceptance_npy)
        print(acceptance)
    photographs, crops = photographs_of(config.photographs)
    labelled = pseudo_labelled_frames(labeller, photographs, crops, config.score)
    if len(labelled) == 0:
        raise UserError(
            f"{config.detector}: finds no ear with a score of {config.score} in {len(photographs):,} "
            f"photographs of {config.photographs}. Lower --score, or train it for longer."
        )
    write_provenance(config.output_dir, config)
    write_manifest(config.output_dir / PSEUDO_LABELLED, labelled)
    if acceptance is not None:
        result = asdict(acceptance) | {"admitted": acceptance.admitted}
        write_json(config.output_dir / ACCEPTANCE, result)
    empty = len(labelled.empty_images)
    print(f"{len(labelled):,} boxes in {len(photographs):,} photographs, {empty:,} of them without any")
    return config.output_dir


if __name__ == "__main__":
    run_command(Config, main)
