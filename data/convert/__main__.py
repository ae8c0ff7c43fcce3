"""Write a manifest, or the predictions of students.predict, in the format of a labelling tool.

`python -m data.convert --input FILE.npy --to cvat --output FILE.xml`: people look at it and correct it in the
tool that they have, and `data.prepare` reads what the tool exports.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.command import run_command
from configs.errors import UserError
from data.formats import detect_format, read_annotations, write_annotations
from data.formats.rules.notes import Notes

_SUFFIXES = {"coco": ".json", "label-studio": ".json", "cvat": ".xml"}  # the others are folders


@dataclass(frozen=True)
class Config:
    """Write a manifest or predictions as COCO, YOLO-pose, CVAT XML or Label Studio JSON."""

    input: Path
    """An .npy manifest, or predictions.json of students.predict."""
    to: Literal["coco", "yolo", "yolo-pose", "pts", "cvat", "label-studio"]
    """The format to write."""
    output: Path
    """The file to write (coco, label-studio: .json, cvat: .xml), or the folder (yolo, yolo-pose, pts)."""

    def __post_init__(self) -> None:
        """Raises UserError for an output of another suffix than its format has, and for one that is there."""
        wanted = _SUFFIXES.get(self.to, "")
        if self.output.suffix.lower() != wanted and wanted:
            raise UserError(f"--output {self.output}: {self.to} is a file that ends in {wanted}.")
        if self.output.is_file() or (self.output.is_dir() and any(self.output.iterdir())):
            raise UserError(f"--output {self.output}: is there already; choose another place.")


def main(config: Config) -> Path:
    """Read and write. Raises UserError for an input of another kind, and for nothing to write."""
    if not config.input.exists():
        raise UserError(f"{config.input}: no such file.")
    name = detect_format(config.input)
    if name not in ("npy", "predictions"):
        raise UserError(
            f"{config.input}: is {name}; data.convert takes a manifest or predictions.json. "
            "`python -m data.prepare` makes manifests."
        )
    notes = Notes()
    manifest = read_annotations(config.input, name, notes=notes)
    if not len(manifest) and not len(manifest.empty_images):
        raise UserError(f"{config.input}: holds nothing to write.\n{notes.drops.table()}")
    write_annotations(config.output, manifest, config.to)
    pictures = len({*manifest.image_paths.tolist(), *manifest.empty_images.tolist()})
    print(f"{len(manifest):,} ears in {pictures:,} pictures")
    for title, record in (("left out", notes.drops), ("changed", notes.changes)):
        if record.counts:
            print(f"{title}: {sum(record.counts.values()):,}\n{record.table()}")
    return config.output


if __name__ == "__main__":
    run_command(Config, main)
