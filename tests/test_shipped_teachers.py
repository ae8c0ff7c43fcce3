"""The teachers that ship: they load as any checkpoint does, and know ears that they have never seen."""

from pathlib import Path

import numpy as np
import pytest
import torch

import teacher
from data.crops import MARGIN
from data.metrics import nme
from data.render.scene.photograph import render_ear
from students.evaluation.point_readers import load_point_reader
from students.inference.letterbox import ear_crop
from teacher import EarVAE

PRETRAINED = Path(teacher.__file__).parent / "pretrained"
IDENTITIES = range(900_000, 900_012)


@pytest.fixture(scope="module")
def ears() -> list:
    return [render_ear(identity, 0, 192) for identity in IDENTITIES]


def test_the_ear_detector_reads_points(ears: list):
    reader = load_point_reader(PRETRAINED / "ear_detector_small.ckpt", is_teacher=True)
    found = reader.read([ear.image for ear in ears], [ear.box_xyxy for ear in ears]).points_px
    truth, visibility = np.stack([ear.landmarks for ear in ears]), np.stack([ear.visibility for ear in ears])
    assert np.median(nme(found, truth, visibility)) < 0.03


def test_the_vae_reconstructs(ears: list):
    vae = EarVAE.load_from_checkpoint(PRETRAINED / "ear_vae_small.ckpt").eval()
    side = vae.hparams["image_size"]
    views = [ear_crop(ear.image, ear.box_xyxy, side, MARGIN)[0] for ear in ears]
    images = torch.from_numpy(np.stack(views)) * 2 - 1
    with torch.inference_mode():
        error = (vae(images)[0] - images).square().mean()
    flat = (images - images.mean(dim=(2, 3), keepdim=True)).square().mean()
    assert error < flat / 4
