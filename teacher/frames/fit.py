"""What the frame teacher is trained on and with: its first weights, its views, where a resume goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from configs.errors import UserError
from data.augmentation import FrameConfig, PhotometryConfig
from data.crop_settings import CropSettings
from data.dataset import Frames, collate_frames
from data.labels import warn_of_measures
from data.loading.datamodule import ear_loader
from data.loading.steps import StepData
from data.manifest import read_manifest
from data.transforms import FrameAugmentation
from teacher.checkpoint import load_as, read_checkpoint
from teacher.frames.batches import FrameViews
from teacher.models.dense.frame_teacher import FrameTeacher
from teacher.models.registry import BUILDERS

VAL_BATCH = 8
PHOTOMETRY = PhotometryConfig(grey=1.0)  # teachers see what cameras do, infrared ones among them


def first_teacher(
    backbone: str, freeze_layers: int | None, init_checkpoint: Path | None, with_weights: bool
) -> FrameTeacher:
    """The model before its first step. with_weights: whether published weights are wanted: a resume brings
    its own. Raises UserError for weights that cannot be found, and where init_checkpoint is of another
    backbone.
    """
    model = FrameTeacher(
        backbone,
        freeze_layers=freeze_layers,
        pretrained=with_weights and init_checkpoint is None,
    )
    if init_checkpoint is not None:
        known = load_as({"FrameTeacher": BUILDERS["FrameTeacher"]}, init_checkpoint)
        if known.hparams["backbone"] != backbone:
            raise UserError(
                f"{init_checkpoint}: stands on {known.hparams['backbone']}, wanted is {backbone}."
            )
        model.load_state_dict(known.state_dict())
    model.crops = CropSettings()  # it sees frames: no crop of its own
    return model.train()


def frame_data(
    train_npy: Sequence[Path],
    val_npy: Path,
    image_px: int,
    frame: FrameConfig,
    batch_size: int,
    steps_a_round: int,
    first_round: int,
    num_workers: int,
    seed: int,
) -> StepData:
    """Views to train on, letterboxed frames to validate on. Raises UserError as manifests do."""
    val = read_manifest(val_npy)
    if len(val) == 0:
        raise UserError(f"{val_npy}: no ear in any photograph; held-out ears are needed to measure AP.")
    if batch_size < len(train_npy):
        raise UserError(f"batch_size={batch_size}: there are {len(train_npy)} manifests to share it.")
    manifests = [read_manifest(path) for path in train_npy]
    if not any(map(len, manifests)):
        raise UserError(f"{', '.join(map(str, train_npy))}: no ear in any photograph; nothing can be learnt.")
    warn_of_measures(np.concatenate([one.image_paths for one in manifests]), val)
    drawn = FrameAugmentation(frame, image_px, PHOTOMETRY)
    batches = FrameViews(manifests, image_px, drawn, batch_size, seed)
    held_out = ear_loader(
        Frames(val, image_px), VAL_BATCH, num_workers, seed, train=False, collate_fn=collate_frames
    )
    return StepData(batches, held_out, steps_a_round, first_round, num_workers)


def rounds_done(resume: Path | None, model: FrameTeacher) -> int:
    """Finished rounds of a training that is resumed. Raises UserError for one of another model."""
    if resume is None:
        return 0
    content = read_checkpoint(resume, "FrameTeacher")
    if content["hyper_parameters"]["model"] != model.hparams:
        raise UserError(f"{resume}: of another model than is asked for. Leave out --resume.")
    return int(content["epoch"]) + 1
