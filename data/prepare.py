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
from configs.groups import Fixed, Flat, Gone, Removed, Renamed
from configs.provenance import write_provenance
from data.formats import listed_formats
from data.formats.drops import Drops
from data.formats.options import ReadOptions
from data.landmarks import load_scheme
from data.preparation.checks import MIN_BOX_PX, check_images, check_parts, kept_from_detector
from data.preparation.own_split import with_own_split
from data.preparation.parts import Part
from data.preparation.reading import read_part, with_crop_settings, with_sources
from data.preparation.same_photograph import same_photographs
from data.preparation.splitting import SplitOptions, split_parts
from data.preparation.writing import require_kept, write_sides


@dataclass(frozen=True)
class Config:
    """Check photographs and annotations, split them by source and write manifests."""

    input: tuple[Path, ...] = ()
    """Files or folders with annotations or crops; several are joined."""
    format: Literal[
        "auto", "npy", "coco", "yolo", "yolo-pose", "yolo-polygons", "voc", "cvat", "labelme",
        "label-studio", "via", "deeplabcut", "csv", "pts", "crops", "predictions",
    ] = "auto"  # fmt: skip
    """Format of the inputs; auto finds it by their content, for each input by itself."""
    list_formats: bool = False
    """Show all formats with an example of each, and end."""
    strict: bool = False
    """Anything that is broken, a file, an image or a row, is an error, not dropped and listed."""
    val_input: tuple[Path, ...] = ()
    """Inputs that are the validation set as they are; then nothing else goes there."""
    test_input: tuple[Path, ...] = ()
    """Inputs that are the test set as they are."""
    output_dir: Path = Path("data/preprocessed")
    """Folder for the manifests."""
    points: Literal["by-name", "as-is", "ibug55"] = "by-name"
    """by-name: the points' names give their order, where the input has names. as-is: the points are the
    scheme's, in its order, whatever they are called. ibug55: take the 17 out of the 55 of the iBUG ears.
    """
    scheme: Path | None = None
    """Landmark description (names, curves, what mirroring swaps); without one, what an input manifest says,
    else the project's 17 points. All later stages take it from the manifests.
    """
    margin: float | None = None
    """Border round the box in every crop, as a fraction of its longer side; without one, what an input
    manifest says, else 0.1. All later stages take it from the manifests.
    """
    source_pattern: str = ""
    """Regular expression; what its first group finds in the path is the source: '(subject_[0-9]+)'."""
    num_workers: int = 2
    """Processes that check images."""
    split: Flat[SplitOptions] = field(default_factory=SplitOptions)
    """How ears are split"""
    reading: Flat[ReadOptions] = field(default_factory=ReadOptions)
    """How annotation files are read"""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "workers": Renamed("num_workers"),
        "num_landmarks": Removed(
            "the landmark description says how many points an ear has: --scheme FILE", was=17
        ),
        "min_box_px": Fixed(MIN_BOX_PX, "an ear of less shows no fold"),
    }

    def __post_init__(self) -> None:
        """Raises UserError without an input, and for one that would be overwritten."""
        if not self.input and not self.list_formats:
            raise UserError("--input: give at least one file or folder.")
        require_kept((*self.input, *self.val_input, *self.test_input), self.output_dir)


def main(config: Config) -> Path | None:
    """Read, check, split, write. UserError when nothing usable is left, or with `strict` for a fault."""
    if config.list_formats:
        print(listed_formats())
        return None
    drops, changes = Drops(), Drops()
    scheme = None if config.scheme is None else load_scheme(config.scheme)
    inputs = {"": config.input, "val": config.val_input, "test": config.test_input}
    read: list[Part] = []
    for side, paths in inputs.items():
        for path in paths:
            part = read_part(path, side, config.format, config.reading, config.points, scheme, drops, changes)
            manifest = with_crop_settings(part.manifest, config.margin, scheme, path)
            read.append(replace(part, manifest=with_sources(manifest, config.source_pattern)))
            read[0].manifest.crops.require_same(manifest.crops, f"{config.input[0]}", f"{path}")
    count = len(config.input)
    read[:count] = with_own_split(read[:count], config.input)
    paths = (path for part in read for path in (*part.image_paths, *sorted(part.spoilt_images)))
    facts = check_images(paths, config.num_workers)
    parts = check_parts(read, facts, drops, changes)
    if config.strict and drops.faults().counts:
        raise UserError(f"--strict, and something is broken; nothing was written:\n{drops.faults().table()}")
    if not any(len(part.manifest) for part in parts):
        reasons = drops.table() or "  the inputs hold no ears"
        raise UserError(f"no usable ear in {', '.join(map(str, config.input))}:\n{reasons}")
    photographs = same_photographs(facts)
    print(photographs)
    not_for_detector = kept_from_detector(parts, facts)
    sides = split_parts(parts, facts, photographs, config.source_pattern, config.split, drops)
    outputs = write_sides(sides, config.output_dir)
    summary = {
        "read": sum(len(part.manifest) for part in read),
        "photographs": photographs.to_json(),
        "outputs": outputs,
        "dropped": drops.to_json(),
        "changed": changes.to_json(),
        "not_for_detector": not_for_detector.to_json(),
    }
    _print_summary(outputs, drops, changes, not_for_detector)
    write_json(config.output_dir / "prepare.json", summary)
    write_provenance(config.output_dir, config)
    return config.output_dir


def _print_summary(
    outputs: dict[str, dict[str, int]], drops: Drops, changes: Drops, not_for_detector: Drops
) -> None:
    records = {"dropped": drops, "changed": changes, "not for the detector": not_for_detector}
    for title, record in records.items():
        print(f"{title}: {sum(record.counts.values()):,}")
        if record.counts:
            print(record.table())
    for name, counts in outputs.items():
        words = (f"{counts[key]:>8,} {key.replace('_', ' ')}" for key in counts)
        print(f"{name:<20}", *words)


if __name__ == "__main__":
    run_command(Config, main)
