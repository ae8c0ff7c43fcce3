"""The folder that a run of `distill.cache` fills: what its maps are of, which shards are left, a summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.crop_settings import CropSettings
from data.manifest import Manifest, fingerprint
from distill.teacher_maps.compute import MapComputer
from distill.teacher_maps.disk_budget import refuse_full_disk
from distill.teacher_maps.options import AGREEMENT_LIMIT
from distill.teacher_maps.pseudo_labels import trust
from distill.teacher_maps.store import KeptMaps, MapWriter, remove_maps, sha256_of


def map_settings(
    computer: MapComputer, manifest: Manifest, checkpoint: Path, ear_detector: Path | None
) -> dict[str, Any]:
    """What the maps are of: another run resumes only with the same, a student trains only on the same."""
    scheme = manifest.crops.scheme
    own_points = {} if scheme == CropSettings().scheme else {"scheme": scheme.to_plain()}
    return {
        "layer": computer.layer,
        "grid": computer.grid,
        "view": computer.numbered.numbering.as_dict(),
        "manifest_sha256": fingerprint(manifest),
        "teacher_kind": computer.teacher.kind,
        "teacher_sha256": sha256_of(checkpoint),
        "labeller_sha256": sha256_of(ear_detector) if computer.labeller is not None else None,
        **own_points,
    }


def unfinished_shards(
    folder: Path, settings: dict[str, Any], shape: tuple[int, ...], crops_a_shard: int, resume: bool
) -> list[int]:
    """Shards still to be written. Not `resume`: kept maps in the folder are removed first.

    Raises UserError for maps of other settings and a full disk.
    """
    if not resume:
        remove_maps(folder)
    writer = MapWriter(folder, settings, shape, crops_a_shard)
    unfinished = writer.unfinished()
    if len(unfinished) < writer.shards:
        print(f"resuming: {writer.shards - len(unfinished)} of {writer.shards} shards are finished")
    refuse_full_disk(writer, unfinished)
    return unfinished


def print_summary(folder: Path) -> None:
    """What was kept, and how much of the predictions has weight."""
    kept = KeptMaps(folder)
    shards, maps = len(kept.index["shards"]), kept.crops * kept.views
    print(f"kept {maps:,} maps of {kept.channels} channels in {shards} shards")
    if kept.predictions is not None:
        weight = trust(kept.predictions["confidence"], kept.predictions["disagreement"], AGREEMENT_LIMIT)
        print(f"predictions: {(weight > 0).mean():.1%} of the points count, mean weight {weight.mean():.2f}")
