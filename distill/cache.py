"""Keep a teacher's maps of the training crops: `python -m distill.cache --checkpoint ... --train-npy ...`.

The teacher runs once over every crop in numbered views (0 plain, 1 mirrored, 2, 3, ... augmented) and its
maps are kept in half precision, one file a shard, beside what it takes to rebuild the views. `distill.train`
then never loads the teacher. With --ear-detector the points it predicts in the same views are kept too, if it
passes the acceptance test: it is scored on held-out labels first. Finished shards are kept when the command
runs again. For the detector, give the manifest of the frames: one crop an ear, --views 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

from configs.command import run_command
from configs.errors import UserError
from configs.groups import Flat, Gone, Ignored, Removed, Renamed
from configs.provenance import write_provenance
from distill.teacher_maps.options import (
    BATCH_SIZE,
    CROP_PX,
    CROPS_A_SHARD,
    ComputeOptions,
    LabellerOptions,
    MapOptions,
)

RESUMES_FROM = ("shard_*.json",)


@dataclass(frozen=True)
class Config:
    """Keep a teacher's feature maps (and, with --ear-detector, its predictions) on disk."""

    checkpoint: Path
    """The teacher: best.ckpt of an EarVAE (teacher.train), an EarDetector (teacher.finetune) or a teacher of
    frames (teacher.frames).
    """
    train_npy: tuple[Path, ...]
    """Manifest of the ears, or several, joined in this order; landmarks are not needed."""
    output_dir: Path = Path("runs/maps")
    """Folder of the kept maps."""
    dry_run: bool = False
    """Print the bytes on disk and the time it will take, and stop."""

    maps: Flat[MapOptions] = field(default_factory=MapOptions)
    labeller: Flat[LabellerOptions] = field(default_factory=LabellerOptions)
    compute: Flat[ComputeOptions] = field(default_factory=ComputeOptions)
    GONE: ClassVar[Mapping[str, Gone]] = {
        "more_train_npy": Renamed("train_npy", joins=True),
        "num_nodes": Ignored("SLURM and torchrun say on how many machines the command runs: docs/cluster.md"),
        "margin": Removed("it stands in the manifest: data.prepare --margin", was=0.1),
        "scheme": Removed("it stands in the manifest: data.prepare --scheme"),
    }


def main(config: Config) -> Path | None:
    """Keep the maps; returns the output folder, None for a dry run. Raises UserError before it starts."""
    from distill.teacher_maps.acceptance import admitted_labeller
    from distill.teacher_maps.compute import MapComputer
    from distill.teacher_maps.disk_budget import fitting_grid, print_disk, print_time
    from distill.teacher_maps.folder import map_settings, print_summary, unfinished_shards
    from distill.teacher_maps.frozen_teacher import HEATMAPS, FrozenTeacher
    from distill.teacher_maps.launch import launch
    from distill.teacher_maps.numbered_crops import CropNumbering, NumberedCrops, read_ears
    from distill.teacher_maps.store import MapWriter
    from teacher.checkpoint import require_margin

    maps, labelling, compute, folder = config.maps, config.labeller, config.compute, config.output_dir
    fabric = launch(compute.devices)
    manifest, bf16 = read_ears(*config.train_npy), compute.precision != "32"
    teacher = FrozenTeacher.load(config.checkpoint, bf16=bf16).to(fabric.device)
    require_margin(manifest.crops, teacher.crops, "train_npy", f"{config.checkpoint}")
    numbering = CropNumbering(CROP_PX, manifest.crops.margin, compute.seed, maps.geometry)
    numbered = NumberedCrops(manifest, numbering)
    computer = MapComputer(
        teacher, numbered, maps.layer, maps.grid, fabric.device, manifest.crops.scheme.flip
    )
    channels = computer.channels()
    computer.grid = fitting_grid(len(manifest), maps.views, channels, maps.grid, maps.max_gb)
    shape = (len(manifest), maps.views, channels, computer.grid, computer.grid)
    if fabric.is_global_zero:
        print(f"teacher: {teacher.kind} of {config.checkpoint}, map {maps.layer}")
        print_disk(shape, maps.grid, folder)
    if config.dry_run:
        if fabric.is_global_zero:
            print_time(computer, shape, BATCH_SIZE, fabric.world_size)
        return None
    computer.labeller, acceptance = admitted_labeller(
        labelling, teacher, config.checkpoint, manifest.crops, bf16, fabric
    )
    if maps.layer == HEATMAPS and computer.labeller is not teacher:
        raise UserError(
            "layer heatmaps: they are predictions, so only those of an admitted labeller are kept. Give the "
            "checkpoint as ear_detector too, with acceptance_npy; if it was not admitted, keep its map fused."
        )
    settings = map_settings(computer, manifest, config.checkpoint, labelling.ear_detector)
    unfinished = None
    if fabric.is_global_zero:
        unfinished = unfinished_shards(folder, settings, shape, CROPS_A_SHARD, bool(compute.resume))
        write_provenance(folder, config)
    mine = fabric.broadcast(unfinished)[fabric.global_rank :: fabric.world_size]
    writer = MapWriter(folder, settings, shape, CROPS_A_SHARD)
    computer.write_shards(writer, mine, BATCH_SIZE, compute.num_workers)
    fabric.barrier()
    if fabric.is_global_zero:
        gate = None if acceptance is None else asdict(acceptance)
        writer.finish({"gate": gate, "checkpoint": str(config.checkpoint)})
        print_summary(folder)
    fabric.barrier()
    return folder


if __name__ == "__main__":
    run_command(Config, main)
