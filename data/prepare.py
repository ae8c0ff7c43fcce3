"""Turn photographs and annotations of any known format into checked, split manifests.

`python -m data.prepare --input FOLDER_OR_FILE ...` writes {train,val,test}_teacher.npy (ears with boxes),
*_labelled.npy (those with landmarks), *_frames.npy (whole photographs, for the detector) and prepare.json.
Images stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_json
from configs.groups import Fixed, Flat, Gone, Renamed
from configs.provenance import write_provenance
from data.formats.drops import Drops
from data.formats.options import ReadOptions
from data.preparation.checks import MIN_BOX_PX, check_images, check_parts
from data.preparation.parts import Part
from data.preparation.reading import ibug_points, read_part, require_points, with_sources
from data.preparation.splitting import SplitOptions, split_parts
from data.preparation.writing import require_kept, write_sides


@dataclass(frozen=True)
class Config:
    """Check photographs and annotations, split them by source and write manifests."""

    input: tuple[Path, ...]
    """Files or folders with annotations or crops; several are joined."""
    format: Literal["auto", "npy", "coco", "yolo", "yolo-pose", "pts", "crops"] = "auto"
    """Format of the inputs; auto tells it by suffix and content, of each by itself."""
    val_input: tuple[Path, ...] = ()
    """Inputs that are the validation set as they are; then nothing else goes there."""
    test_input: tuple[Path, ...] = ()
    """Inputs that are the test set as they are."""
    output_dir: Path = Path("data/preprocessed")
    """Folder for the manifests."""
    points: Literal["as-is", "ibug55"] = "as-is"
    """as-is: the points are the scheme's. ibug55: take the 17 out of the 55 of the iBUG ears."""
    num_landmarks: int = 17
    """Points an ear must have, where it has points."""
    source_pattern: str = ""
    """Regular expression; what its first group finds in the path is the source: '(subject_[0-9]+)'."""
    num_workers: int = 2
    """Processes that check images."""
    split: Flat[SplitOptions] = field(default_factory=SplitOptions)
    """The split"""
    reading: Flat[ReadOptions] = field(default_factory=ReadOptions)
    """Annotation files"""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "workers": Renamed("num_workers"),
        "min_box_px": Fixed(MIN_BOX_PX, "an ear of less shows no fold"),
    }

    def __post_init__(self) -> None:
        """Raises UserError without an input, and for one that would be overwritten."""
        if not self.input:
            raise UserError("--input: give at least one file or folder.")
        require_kept((*self.input, *self.val_input, *self.test_input), self.output_dir)


def main(config: Config) -> Path:
    """Read, check, split, write. Raises UserError when nothing usable is left."""
    drops, changes = Drops(), Drops()
    inputs = {"": config.input, "val": config.val_input, "test": config.test_input}
    read = [_read(path, side, config, drops) for side, paths in inputs.items() for path in paths]
    facts = check_images((path for part in read for path in part.image_paths), config.num_workers)
    parts = check_parts(read, facts, drops, changes)
    if not any(len(part.manifest) for part in parts):
        reasons = drops.table() or "  the inputs hold no ears"
        raise UserError(f"no usable ear in {', '.join(map(str, config.input))}:\n{reasons}")
    sides = split_parts(parts, facts, config.source_pattern, config.split, drops)
    outputs = write_sides(sides, config.output_dir)
    summary = {
        "read": sum(len(part.manifest) for part in read),
        "outputs": outputs,
        "dropped": drops.to_json(),
        "changed": changes.to_json(),
    }
    _print_summary(outputs, drops, changes)
    write_json(config.output_dir / "prepare.json", summary)
    write_provenance(config.output_dir, config)
    return config.output_dir


def _read(path: Path, side: str, config: Config, drops: Drops) -> Part:
    """One input, with the scheme's points and with sources."""
    part = read_part(path, side, config.format, config.reading, drops)
    manifest = ibug_points(part.manifest, path) if config.points == "ibug55" else part.manifest
    require_points(manifest, config.num_landmarks, path)
    return replace(part, manifest=with_sources(manifest, config.source_pattern))


def _print_summary(outputs: dict[str, dict[str, int]], drops: Drops, changes: Drops) -> None:
    for title, record in (("dropped", drops), ("changed", changes)):
        print(f"{title}: {sum(record.counts.values()):,}")
        if record.counts:
            print(record.table())
    for name, counts in outputs.items():
        words = (f"{counts[key]:>8,} {key.replace('_', ' ')}" for key in counts)
        print(f"{name:<20}", *words)


if __name__ == "__main__":
    run_command(Config, main)
