"""The frozen blocks' kept output: the loss of a live step, resumed after a kill, refused where it does not
fit.
"""

import json

import numpy as np
import pytest
import torch
from teacher.vae_training.frozen_prefix import RECORD, TOKENS, keep_prefix
from torch.utils.data import DataLoader

from configs.errors import UserError
from data.augmentation import GeometryConfig, PhotometryConfig
from data.dataset import EarCrops
from data.loading.pairs import PairedCrops
from data.loading.repeated import RepeatedCrops
from data.loading.sampler import EpochSampler
from data.manifest import read_manifest
from data.transforms import Geometry, Photometry
from teacher import train
from teacher.checkpoint import read_checkpoint
from teacher.vae_training import frozen_prefix as prefix
from teacher.vae_training.correspondence import Correspondence
from teacher.vae_training.losses import LossWeights
from teacher.vae_training.module import EarVAEModule
from tests.test_teacher_commands import train_config
from tests.tiny_teacher import TINY_BACKBONE, tiny_vae

DRAWN = {"seed": 0}


def ears(rendered, pairs=False, draws=3):
    manifest = read_manifest(rendered / "train_teacher.npy").select(range(7))
    geometry, photometry = Geometry(GeometryConfig(), 64), Photometry(PhotometryConfig())
    crops = EarCrops(manifest, 64, geometry=geometry, photometry=photometry)
    return RepeatedCrops(PairedCrops(crops, geometry, photometry) if pairs else crops, draws)


def frozen_vae(**changes):
    vae = tiny_vae(**changes)
    vae.encoder.backbone.freeze(1, positions=True)
    return vae


def loss_of(module, batch):
    module.log = module.log_dict = lambda *_, **__: None
    torch.manual_seed(0)
    return module.training_step(batch, 0)


def test_views_come_in_turn(rendered):
    views = ears(rendered)
    assert torch.equal(views[4, 2]["image"], views[1, 2]["image"])
    assert not torch.equal(views[3, 2]["image"], views[1, 2]["image"])
    assert [views[epoch, 0]["draw"] for epoch in range(5)] == [0, 1, 2, 0, 1]
    assert len(views.manifest) == len(views) == 7


@pytest.mark.parametrize("pairs", [False, True], ids=["crops", "pairs"])
def test_the_loss_and_its_gradients_are_those_of_a_live_step(rendered, tmp_path, pairs):
    vae, views = frozen_vae(), ears(rendered, pairs)
    weights = LossWeights(perceptual=0, matching=float(pairs), exchange=float(pairs))
    matched = Correspondence("feat2", vae.map_channels) if pairs else None
    module = EarVAEModule(vae, weights, 1e-3, correspondence=matched)
    kept = keep_prefix(tmp_path, vae.encoder.backbone, views, DRAWN, batch_size=4)
    assert np.load(tmp_path / TOKENS, mmap_mode="r").shape == (7, 3, 1 + pairs, 4, 4, 32)
    sampler = EpochSampler(views)
    for epoch in (0, 4):
        losses = {}
        for name, dataset in (("live", views), ("kept", kept)):
            sampler.set_epoch(epoch)
            (batch,) = DataLoader(dataset, 7, sampler=sampler)
            assert ("tokens" in batch) == (name == "kept")
            module.zero_grad()
            loss = loss_of(module, batch)
            loss.backward()
            gradient = vae.encoder.backbone.vision_encoder.layers[1].attn.qkv.weight.grad
            losses[name] = loss.item(), gradient.clone()
        assert losses["kept"][0] == pytest.approx(losses["live"][0], abs=1e-3)
        live, read = losses["live"][1].flatten(), losses["kept"][1].flatten()
        assert torch.nn.functional.cosine_similarity(live, read, dim=0) > 0.999


def test_a_killed_computation_goes_on(rendered, tmp_path, monkeypatch):
    views, vae = ears(rendered), frozen_vae()
    whole = keep_prefix(tmp_path / "whole", vae.encoder.backbone, views, DRAWN, batch_size=6)
    begin, calls = prefix._begin, []

    def killed_at_the_fourth(*args):
        calls.append(args)
        if len(calls) == 4:  # the first asks for the shape
            raise RuntimeError("killed")
        return begin(*args)

    monkeypatch.setattr(prefix, "RECORD_EVERY", 1)
    monkeypatch.setattr(prefix, "_begin", killed_at_the_fourth)
    with pytest.raises(RuntimeError, match="killed"):
        keep_prefix(tmp_path / "cut", vae.encoder.backbone, views, DRAWN, batch_size=6)
    assert json.loads((tmp_path / "cut" / RECORD).read_text())["finished"] == 4
    calls.clear()
    monkeypatch.setattr(prefix, "_begin", lambda *args: calls.append(args) or begin(*args))
    resumed = keep_prefix(tmp_path / "cut", vae.encoder.backbone, views, DRAWN, batch_size=6)
    assert len(calls) == 1 + 2  # three ears are left, two fit a batch
    for row in range(7):
        for view in range(3):
            assert torch.equal(resumed[view, row]["tokens"], whole[view, row]["tokens"])
    calls.clear()
    keep_prefix(tmp_path / "cut", vae.encoder.backbone, views, DRAWN, batch_size=6)
    assert not calls, "finished: only read"


def test_other_weights_and_views_are_refused(rendered, tmp_path):
    keep_prefix(tmp_path, frozen_vae().encoder.backbone, ears(rendered), DRAWN, batch_size=6)
    with pytest.raises(UserError, match="other frozen_sha256"):
        keep_prefix(tmp_path, frozen_vae(seed=1).encoder.backbone, ears(rendered), DRAWN, batch_size=6)
    with pytest.raises(UserError, match="other inputs"):
        keep_prefix(tmp_path, frozen_vae().encoder.backbone, ears(rendered, pairs=True), DRAWN, batch_size=6)
    with pytest.raises(UserError, match="other seed, views"):
        keep_prefix(tmp_path, frozen_vae().encoder.backbone, ears(rendered, draws=2), {"seed": 1}, 6)


def test_a_disk_without_room_is_refused(rendered, tmp_path, monkeypatch):
    monkeypatch.setattr(prefix.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match="1,000 are free"):
        keep_prefix(tmp_path, frozen_vae().encoder.backbone, ears(rendered), DRAWN, batch_size=6)
    assert not (tmp_path / TOKENS).exists()


@pytest.mark.trains
def test_a_training_with_it_is_the_training_without(rendered, tmp_path):
    options = {"freeze_layers": 1, "train_views": 2}
    folders = {}
    for name, prefix_dir in (("live", None), ("kept", tmp_path / "prefix")):
        config = train_config(rendered, tmp_path / name, prefix_dir=prefix_dir, **options)
        folders[name] = train.main(config)
    live, kept = (json.loads((folders[name] / "metrics.json").read_text()) for name in ("live", "kept"))
    assert kept["psnr"] == pytest.approx(live["psnr"], abs=0.3)
    weights = [read_checkpoint(folder / "last.ckpt")["state_dict"] for folder in folders.values()]
    moved, still = (state["model.encoder.backbone.vision_encoder.pos_embed"] for state in weights)
    first = tiny_vae(seed=0).encoder.backbone.vision_encoder.pos_embed
    assert torch.equal(still, first), "positions are frozen with the blocks"
    assert not torch.equal(moved, first)
    with pytest.raises(UserError, match="set --train-views"):
        train.main(train_config(rendered, tmp_path / "none", prefix_dir=tmp_path / "p", freeze_layers=1))


def test_gradient_checkpointing_and_input_size_reach_the_backbone(rendered, tmp_path):
    options = {key: value for key, value in TINY_BACKBONE.items() if key != "input_size"}
    chosen = {"backbone_options": options, "sam_input_size": 128, "gradient_checkpointing": True}
    folder = train.main(train_config(rendered, tmp_path, epochs=1, **chosen))
    sizes = read_checkpoint(folder / "best.ckpt")["hyper_parameters"]["model"]["backbone_options"]
    assert sizes["input_size"] == 128
