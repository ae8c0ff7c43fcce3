"""A student's training step from the teacher's kept maps, and with the teacher live in the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import roi_align

from data.augmentation import FrameConfig, GeometryConfig, PhotometryConfig
from data.dataset import Frames
from data.landmarks import NUM_LANDMARKS
from data.loading.steps import step_loader
from data.manifest import fingerprint, read_manifest
from data.tensors import to_signed
from data.transforms import FrameAugmentation, Geometry, Photometry
from distill.bench.apart import device_name, timed, timed_together
from distill.bench.teacher import NOT_LOGGED, Step, build_vae
from distill.student.batches import CropBatches, FrameBatches, FrameSource
from distill.student.fit import build_module
from distill.student.options import DistillationOptions, MapLossOptions, OptimizationOptions
from distill.student.plan import BatchMix
from distill.student.teacher_targets import TeacherTargets
from distill.teacher_maps.compute import MapComputer
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.numbered_crops import CropNumbering, NumberedCrops
from distill.teacher_maps.store import KeptMaps, MapWriter
from students.models.checkpoint import build_student

LAYER, GRID, VIEWS = "feat1", 16, 2
WORKERS, LOADED_AHEAD = 2, 4  # two batches a worker wait at the start: they must not flatter the loader
FAST_STEPS = 8  # steps without a live teacher for one with


def keep_maps(manifest_npy: Path, folder: Path, blocks: int) -> dict[str, Any]:
    """Keep the maps of a SAM base of random weights, its sizes being all that matters; crops a second."""
    manifest, numbering = read_manifest(manifest_npy), CropNumbering()
    computer = MapComputer(
        _teacher(blocks), NumberedCrops(manifest, numbering), LAYER, GRID, torch.device(device_name())
    )
    shape = (len(manifest), VIEWS, computer.channels(), GRID, GRID)
    kept = {"layer": LAYER, "grid": GRID, "view": numbering.as_dict()}
    writer = MapWriter(folder, {**kept, "manifest_sha256": fingerprint(manifest)}, shape, crops_per_shard=64)
    seconds = timed(lambda: computer.write_shards(writer, range(writer.shards), 8, 0), repeats=1, warm_up=0)
    writer.finish()
    return {"per_second": len(manifest) * VIEWS / seconds}


def step_rate(
    student: str, manifest_npy: Path, maps: Path, live_blocks: int, batch_size: int, repeats: int
) -> dict[str, Any]:
    """Images a second, loading included, two workers. live_blocks: of the teacher in the loop, 0 for kept
    maps.
    """
    device = device_name()
    kept = KeptMaps(maps)
    net = build_student(student, {"num_landmarks": NUM_LANDMARKS} if student == "landmarker" else {})
    batches = (_crops if student == "landmarker" else _frames)(manifest_npy, kept, net.image_px, batch_size)
    options = OptimizationOptions(), DistillationOptions(), MapLossOptions()
    module = build_module(net, kept, 1000, *options).to(device)
    teacher = _teacher(live_blocks) if live_blocks else None
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    steps = repeats if live_blocks else FAST_STEPS * repeats
    loaded = iter(step_loader(batches, LOADED_AHEAD + steps, 0, WORKERS))

    def train() -> None:
        batch = {name: _moved(value, device) for name, value in next(loaded).items()}
        if teacher is not None and "maps" in batch:
            batch["maps"] = _live_maps(teacher, batch)
        optimizer.zero_grad()
        module.training_step(batch, NOT_LOGGED).backward()
        optimizer.step()

    return {"per_second": batch_size / timed_together(train, steps, LOADED_AHEAD)}


def _crops(manifest_npy: Path, kept: KeptMaps, image_px: int, batch_size: int) -> CropBatches:
    manifest = read_manifest(manifest_npy)
    numbered = NumberedCrops(manifest, CropNumbering())
    geometry, photometry = Geometry(GeometryConfig(), image_px), Photometry(PhotometryConfig())
    flip = np.asarray(manifest.crops.scheme.flip)
    others = TeacherTargets(kept, numbered, geometry, photometry, flip, None, with_maps=True)
    labelled = numbered.crops.drawn_as(geometry, photometry)
    return CropBatches(labelled, BatchMix(batch_size // 2, batch_size - batch_size // 2), others)


def _frames(manifest_npy: Path, kept: KeptMaps, image_px: int, batch_size: int) -> FrameBatches:
    manifest = read_manifest(manifest_npy)
    augmentation = FrameAugmentation(FrameConfig(), image_px, PhotometryConfig())
    frames = Frames(manifest, image_px, augmentation)
    return FrameBatches(FrameSource(frames, batch_size, kept, np.arange(len(manifest))))


def _live_maps(teacher: FrozenTeacher, batch: dict[str, Any]) -> Tensor:
    """The live teacher's maps, as many as were kept: of the last crops, or of the frames' windows."""
    count, images = len(batch["maps"]), batch["image"]
    if "rois" in batch:
        crops = roi_align(to_signed(images), batch["rois"], 128, aligned=True)
    else:
        crops = to_signed(images[-count:])
    return teacher.maps(crops, LAYER, GRID).half()


def _teacher(blocks: int) -> FrozenTeacher:
    vae = build_vae(Step(blocks=blocks, frozen=0)).to(device_name())
    return FrozenTeacher(vae, 128, bf16=True)


def _moved(value: Any, device: str) -> Any:
    if isinstance(value, list):
        return [_moved(item, device) for item in value]
    return value.to(device) if isinstance(value, Tensor) else value
