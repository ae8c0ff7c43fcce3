"""Turn photographs and annotations of any known format into checked, split manifests.

`python -m data.prepare --input FOLDER_OR_FILE ...` writes {train,val,test}_teacher.npy (ears with boxes),
*_labelled.npy (those with landmarks), *_frames.npy (whole photographs, for the detector) and prepare.json.
Images stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from configs.command import run_command
from configs.errors import UserError
from data.manifest import Manifest, join_manifests, sources_of
from data.preparation.split import SIDES

# Where each of our points stands among the 55 of the iBUG ears (0-based), in the order of landmarks_17.yaml.
IBUG55 = (0, 2, 4, 6, 10, 13, 16, 19, 20, 25, 34, 35, 36, 39, 41, 45, 49)


@dataclass
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
    val_fraction: float = 0.1
    """Share of the ears that goes to validation, in whole sources."""
    test_fraction: float = 0.1
    """Share of the ears that goes to the test."""
    num_landmarks: int = 17
    """Points an ear must have, where it has points."""
    points: Literal["as-is", "ibug55"] = "as-is"
    """as-is: the points are the scheme's. ibug55: take the 17 out of the 55 of the iBUG ears."""
    category: str = ""
    """Class to read from COCO and YOLO; empty: the only one, or those named like an ear."""
    image_root: Path | None = None
    """Folder that relative image paths start from; else beside the annotations."""
    box_format: Literal["xyxy", "xywh"] = "xyxy"
    """How an NPY manifest writes its boxes: two corners, or corner, width and height."""
    source_key: str = ""
    """Key of an ear's source, such as a person: in the NPY dict, a COCO image or annotation."""
    source_pattern: str = ""
    """Regular expression; what its first group finds in the path is the source: '(subject_[0-9]+)'."""
    min_box_px: float = 8.0
    """Boxes whose longer side is shorter are dropped."""
    seed: int = 0
    """Of the split."""
    workers: int = 2
    """Processes that check images."""


def main(config: Config) -> Path:
    """Read, check, split, write. Raises UserError when nothing usable is left."""
    from configs.files import write_json
    from configs.provenance import write_provenance
    from data.preparation.checks import check_images
    from data.preparation.drops import Drops

    _check_config(config)
    drops, changes = Drops(), Drops()
    inputs = [*(("", path) for path in config.input), *(("val", path) for path in config.val_input)]
    inputs += [("test", path) for path in config.test_input]
    read = [(side, *_read(path, config, drops)) for side, path in inputs]
    found = [manifest for _, manifest, _ in read]
    facts = check_images((str(p) for m in found for p in [*m.image_paths, *m.empty_images]), config.workers)
    parts = _checked_parts(read, facts, config, drops, changes)
    sides = _split(parts, facts, config, drops)
    outputs = _write(sides, config.output_dir)
    summary = {
        "read": sum(len(manifest) for manifest in found),
        "outputs": outputs,
        "dropped": drops.to_json(),
        "changed": changes.to_json(),
    }
    _print_summary(summary, drops, changes)
    write_json(config.output_dir / "prepare.json", summary)
    write_provenance(config.output_dir, config)
    return config.output_dir


@dataclass(frozen=True)
class _Part:
    """What one input gave. side: "" to be split, or given. whole_frames: photographs rather than crops."""

    side: str
    manifest: Manifest
    whole_frames: bool
    spoilt_images: frozenset[str]


def _check_config(config: Config) -> None:
    for name in ("val_fraction", "test_fraction"):
        if not 0 <= getattr(config, name) < 1:
            raise UserError(
                f"--{name.replace('_', '-')} {getattr(config, name)}: must be at least 0 and below 1."
            )
    if config.val_fraction + config.test_fraction >= 1:
        raise UserError("--val-fraction and --test-fraction together leave nothing to train on.")
    if not config.input:
        raise UserError("--input: give at least one file or folder.")
    overwritten = {config.output_dir.resolve() / name for name in _output_names()}
    for path in (*config.input, *config.val_input, *config.test_input):
        if path.resolve() in overwritten:
            raise UserError(f"{path}: would be overwritten; choose another --output-dir.")


def _read(path: Path, config: Config, drops: Any) -> tuple[Manifest, bool]:
    """The manifest of one input with the points of our scheme, and whether its images are photographs."""
    from data.formats import detect_format, read_annotations
    from data.formats.options import ReadOptions
    from data.preparation.split import source_of_path

    options = ReadOptions(
        config.image_root, config.source_key, config.category, config.box_format == "xywh", drops
    )
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    name = detect_format(path) if config.format == "auto" else config.format
    manifest = read_annotations(path, name, options)
    if manifest.landmarks is not None and config.points == "ibug55":
        if manifest.landmarks.shape[1] != 55:
            raise UserError(
                f"{path}: --points ibug55 needs 55 points an ear, found {manifest.landmarks.shape[1]}."
            )
        chosen = list(IBUG55)
        manifest = replace(
            manifest, landmarks=manifest.landmarks[:, chosen], visibility=manifest.visibility[:, chosen]
        )
    if manifest.landmarks is not None and manifest.landmarks.shape[1] != config.num_landmarks:
        raise UserError(
            f"{path}: has {manifest.landmarks.shape[1]} points an ear, expected {config.num_landmarks}. "
            "Another number is set by --num-landmarks, the 17 of the 55 iBUG points by --points ibug55."
        )
    if config.source_pattern and manifest.sources is None:
        sources = [source_of_path(image, config.source_pattern) for image in manifest.image_paths.tolist()]
        manifest = replace(manifest, sources=np.array(sources, dtype=str))
    print(f"{path}: {name}, {len(manifest):,} ears in {len(set(manifest.image_paths.tolist())):,} images, "
          f"{len(manifest.empty_images):,} images without ears")  # fmt: skip
    return manifest, name != "crops"


def _checked_parts(read: list, facts: dict, config: Config, drops: Any, changes: Any) -> list[_Part]:
    from data.preparation.checks import check_annotations, check_empty_images

    checked = [check_annotations(m, facts, drops, changes, config.min_box_px) for _, m, _ in read]
    spoilt = frozenset().union(*(part.spoilt_images for part in checked))
    parts = [
        _Part(side, check_empty_images(part.manifest, facts, spoilt, drops), whole_frames, spoilt)
        for (side, _, whole_frames), part in zip(read, checked, strict=True)
    ]
    if not any(len(part.manifest) for part in parts):
        reasons = drops.table() or "  the inputs hold no ears"
        raise UserError(f"no usable ear in {', '.join(map(str, config.input))}:\n{reasons}")
    return parts


def _split(parts: list[_Part], facts: dict, config: Config, drops: Any) -> dict[str, list[_Part]]:
    """The rows of each part on each side: side -> parts with at least an ear or an image."""
    from data.preparation.split import Item, choose_sides, grouped, source_of_path

    items, fixed = [], []
    for part in parts:
        sources = sources_of(part.manifest)
        rows = zip(part.manifest.image_paths.tolist(), sources.tolist(), strict=True)
        empties = part.manifest.empty_images.tolist()
        listed = [*rows, *((path, source_of_path(path, config.source_pattern)) for path in empties)]
        for path, source in listed:
            items.append(Item(path, source, facts[path].digest))
        fixed += [part.side or None] * len(listed)
    wanted = [0.0 if side in {part.side for part in parts} else share
              for side, share in (("val", config.val_fraction), ("test", config.test_fraction))]  # fmt: skip
    chosen = choose_sides(grouped(items), fixed, *wanted, config.seed)
    sides: dict[str, list[_Part]] = {side: [] for side in SIDES}
    start = 0
    for part in parts:
        ears, empties = len(part.manifest), len(part.manifest.empty_images)
        of_ears = chosen[start : start + ears]
        of_empties = chosen[start + ears : start + ears + empties]
        start += ears + empties
        for path in [
            *part.manifest.image_paths[of_ears == ""],
            *part.manifest.empty_images[of_empties == ""],
        ]:
            drops.add("its photograph or source is also in --val-input or --test-input", str(path))
        for side in SIDES:
            manifest = part.manifest.select(of_ears == side)
            manifest = replace(manifest, empty_images=part.manifest.empty_images[of_empties == side])
            if len(manifest) or len(manifest.empty_images):
                sides[side].append(replace(part, manifest=manifest))
    return sides


def _write(sides: dict[str, list[_Part]], output_dir: Path) -> dict[str, dict[str, Any]]:
    """All manifests that have rows; name -> what is in it. What an earlier run left of the others goes."""
    from data.manifest import write_manifest

    outputs: dict[str, dict[str, Any]] = {}
    for side, parts in sides.items():
        ears = [part.manifest.select(np.arange(len(part.manifest))) for part in parts if len(part.manifest)]
        joined = join_manifests(ears) if ears else None
        frames = [_frames(part) for part in parts if part.whole_frames]
        manifests = {
            "teacher": joined and replace(joined, landmarks=None, visibility=None),
            "labelled": _labelled(joined),
            "frames": join_manifests(frames) if frames else None,
        }
        for kind, manifest in manifests.items():
            path = output_dir / f"{side}_{kind}.npy"
            if manifest is None or (len(manifest) == 0 and len(manifest.empty_images) == 0):
                path.unlink(missing_ok=True)
                continue
            write_manifest(path, manifest)
            images = {*manifest.image_paths.tolist(), *manifest.empty_images.tolist()}
            outputs[path.name] = {
                "ears": len(manifest),
                "images": len(images),
                "images_without_ears": len(manifest.empty_images),
                "sources": len(set(sources_of(manifest).tolist())),
            }
    return outputs


def _output_names() -> list[str]:
    return [f"{side}_{kind}.npy" for side in SIDES for kind in ("teacher", "labelled", "frames")]


def _labelled(manifest: Manifest | None) -> Manifest | None:
    """The ears with an annotated point."""
    if manifest is None or manifest.landmarks is None:
        return None
    return manifest.select((manifest.visibility > 0).any(axis=1))


def _frames(part: _Part) -> Manifest:
    """Without photographs that show an ear whose row was dropped: a detector would learn to overlook it."""
    whole = np.array([str(path) not in part.spoilt_images for path in part.manifest.image_paths], dtype=bool)
    return part.manifest.select(whole, keep_empty_images=True)


def _print_summary(summary: dict[str, Any], drops: Any, changes: Any) -> None:
    for title, record in (("dropped", drops), ("changed", changes)):
        print(f"{title}: {sum(record.counts.values()):,}")
        if record.counts:
            print(record.table())
    for name, counts in summary["outputs"].items():
        words = (f"{counts[key]:>8,} {key.replace('_', ' ')}" for key in counts)
        print(f"{name:<20}", *words)


if __name__ == "__main__":
    run_command(Config, main)
