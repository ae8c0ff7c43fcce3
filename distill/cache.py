"""Keep a teacher's maps of the training crops: `python -m distill.cache --checkpoint ... --train-npy ...`.

The teacher runs once over every crop in numbered views (0 plain, 1 mirrored, 2, 3, ... augmented) and its
maps are kept in half precision, one file a shard, beside what it takes to rebuild the views. `distill.train`
then never loads the teacher. With --ear-detector the points it predicts in the same views are kept too, if it
passes the gate: it is scored on held-out labels first. Finished shards are kept when the command runs again.
For the detector, give the manifest of the frames: one crop an ear, --views 2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command import run_command
from configs.errors import UserError
from data.augmentation import GeometryConfig
from data.crops import MARGIN
from distill.teacher_maps.disk_budget import fitting_grid, print_disk, print_time, refuse_full_disk
from distill.teacher_maps.launch import launch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from data.manifest import Manifest
    from distill.teacher_maps.compute import MapComputer
    from distill.teacher_maps.frozen_teacher import FrozenTeacher
    from distill.teacher_maps.numbered_crops import ViewSettings

PRECISIONS = ("32", "bf16-mixed")


@dataclass
class Config:
    """Keep a teacher's feature maps (and, with --ear-detector, its predictions) on disk."""

    checkpoint: Path
    """The teacher: best.ckpt of an EarVAE (teacher.train) or an EarDetector (teacher.finetune)."""
    train_npy: Path
    """Manifest of the ears; landmarks are not needed."""
    more_train_npy: tuple[Path, ...] = ()
    """Further manifests, joined to the first in this order."""
    output_dir: Path = Path("runs/maps")
    """Folder of the kept maps."""

    layer: str = "feat1"
    """Which map: backbone, feat1, feat2, feat3, dec8, dec16, dec32, ... (of an EarDetector also fused and its
    heatmaps), or several joined by '+'.
    """
    grid: int = 16
    """Side of the kept maps, cells; finer ones are averaged, coarser ones interpolated."""
    max_gb: float = 0
    """Largest size of the maps, 1e9 bytes: a grid that needs more is halved until they fit; 0: no limit."""
    views: int = 4
    """Views a crop: 1 plain, 2 and mirrored, more augmented by --geometry."""
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    """How the augmented views are drawn."""
    crop_px: int = 128
    """Side of the student's crops, px. The teacher sees them resized to its own."""
    margin: float = MARGIN
    """Border around the box, as a fraction of its longer side."""

    ear_detector: Path | None = None
    """Also keep the points this fine-tuned EarDetector predicts."""
    gate_npy: Path | None = None
    """Held-out labelled ears on which it is scored first."""
    gate_nme: float = 0.05
    """Largest NME with which its predictions are kept."""
    gate_metrics: Path | None = None
    """metrics.json of a twin (distill.train --no-distill): the labeller must also be better than it."""
    scheme: Path | None = None
    """Landmark description (what mirroring swaps); without one, the project's 17 points."""

    shard_crops: int = 256
    """Crops a file."""
    batch_size: int = 32
    """Views the teacher sees at once."""
    precision: str = "32"
    """Of the teacher's arithmetic: 32 or bf16-mixed. Maps are kept in half precision either way."""
    devices: int = 1
    """GPUs (or processes on the CPU) that share the shards, on each node."""
    num_nodes: int = 1
    """Machines that share the shards: docs/cluster.md."""
    num_workers: int = 2
    """Processes that load crops."""
    seed: int = 0
    """Seed of the augmented views."""
    dry_run: bool = False
    """Print the bytes on disk and the time it will take, and stop."""
    resume: str = "auto"
    """auto: keep the finished shards of an earlier run with the same settings; empty: compute all again."""


def main(config: Config) -> Path | None:
    """Keep the maps; returns the output folder, None for a dry run. Raises UserError before it starts."""
    from data.landmarks import load_scheme
    from distill.teacher_maps.compute import MapComputer
    from distill.teacher_maps.frozen_teacher import HEATMAPS, FrozenTeacher
    from distill.teacher_maps.numbered_crops import NumberedCrops, ViewSettings, read_ears
    from distill.teacher_maps.store import MapWriter

    _check(config)
    fabric = launch(config.devices, config.num_nodes)
    manifest = read_ears(config.train_npy, *config.more_train_npy)
    settings = ViewSettings(config.crop_px, config.margin, config.seed, config.geometry)
    teacher = FrozenTeacher.load(config.checkpoint, bf16=config.precision != "32").to(fabric.device)
    views = NumberedCrops(manifest, settings)
    keeper = MapComputer(
        teacher, views, config.layer, config.grid, fabric.device, load_scheme(config.scheme).flip
    )
    channels = keeper.channels()
    keeper.grid = fitting_grid(len(manifest), config.views, channels, config.grid, config.max_gb)
    shape = (len(manifest), config.views, channels, keeper.grid, keeper.grid)
    if fabric.is_global_zero:
        print(f"teacher: {teacher.kind} of {config.checkpoint}, map {config.layer}")
        print_disk(shape, config.grid, config.output_dir)
    if config.dry_run:
        if fabric.is_global_zero:
            print_time(keeper, shape, config.batch_size, fabric.world_size)
        return None
    keeper.labeller, verdict = _admitted_labeller(config, teacher, fabric)
    if config.layer == HEATMAPS and keeper.labeller is not teacher:
        raise UserError(
            "layer heatmaps: they are predictions, so only those of an admitted labeller are kept. Give the "
            "checkpoint as ear_detector too, with gate_npy; if it was not admitted, keep its map fused."
        )
    kept = _settings(config, settings, manifest, keeper)
    unfinished = _prepare_folder(config, kept, shape) if fabric.is_global_zero else None
    mine = fabric.broadcast(unfinished)[fabric.global_rank :: fabric.world_size]
    writer = MapWriter(config.output_dir, kept, shape, config.shard_crops)
    keeper.keep(writer, mine, config.batch_size, config.num_workers)
    fabric.barrier()
    if fabric.is_global_zero:
        writer.finish({"gate": verdict, "checkpoint": str(config.checkpoint)})
        _print_summary(config.output_dir)
    fabric.barrier()
    return config.output_dir


def _prepare_folder(config: Config, kept: dict[str, Any], shape: tuple[int, ...]) -> list[int]:
    """Plan the shards, once for all processes; returns the unfinished ones.

    Raises UserError for maps of other settings and a full disk.
    """
    from configs.provenance import write_provenance
    from distill.teacher_maps.store import MapWriter, remove_maps

    if not config.resume:
        remove_maps(config.output_dir)
    writer = MapWriter(config.output_dir, kept, shape, config.shard_crops)
    unfinished = writer.unfinished()
    if len(unfinished) < writer.shards:
        print(f"resuming: {writer.shards - len(unfinished)} of {writer.shards} shards are finished")
    refuse_full_disk(writer, unfinished)
    write_provenance(config.output_dir, config)
    return unfinished


def _check(config: Config) -> None:
    for name in ("grid", "views", "shard_crops", "batch_size"):
        if getattr(config, name) < 1:
            raise UserError(f"{name} is {getattr(config, name)}, at least 1 is needed.")
    if config.precision not in PRECISIONS:
        raise UserError(f"precision {config.precision!r} is unknown; allowed: {', '.join(PRECISIONS)}.")
    if config.resume not in ("", "auto"):
        raise UserError(f"resume is {config.resume!r}; allowed: auto, or empty to compute all again.")
    if config.ear_detector is not None and config.gate_npy is None:
        raise UserError(
            "ear_detector is given without gate_npy: its predictions are admitted only after it has been "
            "scored on held-out labels. Give the labelled validation manifest as gate_npy."
        )


def _admitted_labeller(
    config: Config, teacher: FrozenTeacher, fabric: Fabric
) -> tuple[FrozenTeacher | None, dict[str, Any] | None]:
    """The labeller if it passes the gate, and the verdict; None and None without --ear-detector.

    It is `teacher` itself where both come from one file. The first process judges for all.
    """
    from data.landmarks import load_scheme
    from data.manifest import require_landmarks
    from distill.teacher_maps.frozen_teacher import FrozenTeacher
    from distill.teacher_maps.numbered_crops import read_ears
    from distill.teacher_maps.pseudo_labels import gate_limit, judge_labeller

    if config.ear_detector is None:
        return None, None
    limit, scheme = gate_limit(config.gate_nme, config.gate_metrics), load_scheme(config.scheme)
    held_out = read_ears(config.gate_npy)
    require_landmarks(held_out, len(scheme), config.gate_npy)
    if config.ear_detector.resolve() == config.checkpoint.resolve() and teacher.kind == "EarDetector":
        labeller = teacher
    else:
        labeller = FrozenTeacher.load(config.ear_detector, "EarDetector", bf16=config.precision != "32")
    labeller.to(fabric.device)
    verdict = None
    if fabric.is_global_zero:
        verdict = judge_labeller(
            labeller,
            held_out,
            scheme.flip,
            limit,
            config.crop_px,
            config.margin,
            config.batch_size,
            fabric.device,
        )
        print(verdict)
    verdict = fabric.broadcast(verdict)
    return labeller if verdict.admitted else None, asdict(verdict)


def _settings(
    config: Config, settings: ViewSettings, manifest: Manifest, keeper: MapComputer
) -> dict[str, Any]:
    """What the maps are of: another run resumes only with the same, a student trains only on the same."""
    from data.manifest import fingerprint
    from distill.teacher_maps.store import sha256_of

    return {
        "layer": config.layer,
        "grid": keeper.grid,
        "view": settings.as_dict(),
        "manifest_sha256": fingerprint(manifest),
        "teacher_kind": keeper.teacher.kind,
        "teacher_sha256": sha256_of(config.checkpoint),
        "labeller_sha256": sha256_of(config.ear_detector) if keeper.labeller is not None else None,
    }


def _print_summary(output_dir: Path) -> None:
    from distill.teacher_maps.pseudo_labels import AGREEMENT_LIMIT, trust
    from distill.teacher_maps.store import KeptMaps

    kept = KeptMaps(output_dir)
    shards, maps = len(kept.index["shards"]), kept.crops * kept.views
    print(f"kept {maps:,} maps of {kept.channels} channels in {shards} shards")
    if kept.predictions is not None:
        weight = trust(kept.predictions["confidence"], kept.predictions["disagreement"], AGREEMENT_LIMIT)
        print(f"predictions: {(weight > 0).mean():.1%} of the points count, mean weight {weight.mean():.2f}")


if __name__ == "__main__":
    run_command(Config, main)
