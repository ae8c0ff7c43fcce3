"""The training loop: exact resume, frozen parts that stay, a budget of minutes, the schedule, what lies
in the folder.
"""

import csv
import math
import os
import signal

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from configs.errors import UserError
from teacher.checkpoint import read_checkpoint, save_weights
from teacher.models.registry import load_model
from teacher.training.optimizer import parameter_groups, schedule
from teacher.training.resume import find_resume
from teacher.training.trainer import build_trainer
from teacher.vae_training.losses import LossWeights
from teacher.vae_training.module import (
    EarVAEModule,
    ReconstructionPictures,
    in_precision_of_now,
)
from tests.tiny_teacher import tiny_vae

pytestmark = pytest.mark.trains


class Blobs(Dataset):
    """Soft random pictures."""

    def __init__(self, count):
        noise = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        self.images = torch.nn.functional.interpolate(noise, 64, mode="bilinear").mul(255).byte()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return {"image": self.images[index], "target": self.images[index]}


class KillAt(pl.Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            raise RuntimeError("killed")


def fit(folder, epochs, callbacks=(), resume="", perceptual=None, **options):
    model = tiny_vae()
    weights = LossWeights(perceptual=1.0 if perceptual else 0.0)
    module = EarVAEModule(model, weights, lr=1e-3, warmup_steps=4, perceptual=perceptual)
    pictures = ReconstructionPictures(folder / "reconstructions", Blobs(6).images)
    trainer = build_trainer(
        folder,
        epochs,
        "val/psnr",
        "max",
        save_best=lambda trained: save_weights(folder / "best.ckpt", trained.model, "EarVAE"),
        callbacks=[*callbacks, pictures],
        progress=False,
        **options,
    )
    loaders = DataLoader(Blobs(16), 4), DataLoader(Blobs(8), 4)
    trainer.fit(module, *loaders, ckpt_path=find_resume(resume, folder, {}), weights_only=True)
    return model, trainer


def read_rows(folder):
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted training of three epochs."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, *fit(folder, epochs=3)


def test_a_killed_training_resumes_exactly(whole, tmp_path):
    folder, expected, _ = whole
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path, epochs=3, callbacks=[KillAt(epoch=1)])
    model, trainer = fit(tmp_path, epochs=3, resume="auto")
    assert trainer.global_step == 12
    for (name, value), wanted in zip(model.state_dict().items(), expected.state_dict().values(), strict=True):
        assert torch.equal(value, wanted), name
    assert (tmp_path / "metrics.csv").read_text() == (folder / "metrics.csv").read_text()


class TerminateAt(pl.Callback):
    """What a batch queue does when the time is up."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_terminated_training_is_no_finished_one(whole, tmp_path):
    folder, _, _ = whole
    with pytest.raises(SystemExit) as ended:
        fit(tmp_path, epochs=3, callbacks=[TerminateAt(epoch=1)])
    assert ended.value.code == 143
    assert fit(tmp_path, epochs=3, resume="auto")[1].global_step == 12
    assert (tmp_path / "metrics.csv").read_text() == (folder / "metrics.csv").read_text()


class PoisonAt(pl.Callback):
    """What an infinite gradient leaves."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            next(p for p in pl_module.parameters() if p.requires_grad).data.fill_(torch.nan)


def test_a_diverged_training_stops_and_keeps_what_was_saved(whole, tmp_path):
    folder, _, _ = whole
    with pytest.raises(UserError, match=r"diverged: after step 8 the loss is nan .* in precision 32"):
        fit(tmp_path, epochs=3, callbacks=[PoisonAt(epoch=1)])
    assert read_rows(tmp_path) == read_rows(folder)[:1]
    fit(tmp_path, epochs=3, resume="auto")  # from epoch 0, as if nothing had been
    assert read_rows(tmp_path) == read_rows(folder)


def test_what_lies_in_the_folder(whole):
    folder, model, trainer = whole
    kept = sorted(path.name for path in folder.glob("epoch=*-psnr=*.ckpt"))
    assert len(kept) == 3
    assert (folder / "last.ckpt").is_file()
    assert any((folder / "tensorboard").iterdir())
    pictures = [p.name for p in sorted((folder / "reconstructions").iterdir())]
    assert pictures == [f"epoch_{e:04d}.png" for e in range(3)]
    rows = read_rows(folder)
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    wanted = [
        "train/loss",
        "train/l1",
        "train/ssim",
        "train/edge",
        "train/contrastive",
        "train/center",
        "train/kl",
    ]
    for name in [*wanted, "val/psnr", "val/ssim", "lr"]:
        assert all(math.isfinite(float(row[name])) for row in rows), name
    terms = sum(
        getattr(LossWeights(), name) * float(rows[-1][f"train/{name}"])
        for name in ("l1", "ssim", "edge", "contrastive", "center", "kl")
    )
    assert float(rows[-1]["train/loss"]) == pytest.approx(terms, rel=1e-4)


def test_best_holds_the_best_epoch_and_last_the_last(whole):
    folder, model, _ = whole
    rows = read_rows(folder)
    best = max(rows, key=lambda row: float(row["val/psnr"]))
    (path,) = folder.glob(f"epoch={int(best['epoch']):03d}-*.ckpt")
    of_that_epoch, kept = load_model(path, "EarVAE"), load_model(folder / "best.ckpt", "EarVAE")
    assert all(torch.equal(v, kept.state_dict()[k]) for k, v in of_that_epoch.state_dict().items())
    assert "optimizer_states" not in read_checkpoint(folder / "best.ckpt")
    last = load_model(folder / "last.ckpt", "EarVAE")
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in last.state_dict().items())


def test_training_moves_what_is_free_and_nothing_that_is_frozen(whole):
    _, model, _ = whole
    fresh = tiny_vae().state_dict()
    frozen = ("encoder.backbone.vision_encoder.patch_embed.", "encoder.backbone.vision_encoder.layers.0.")
    for name, value in model.state_dict().items():
        assert torch.equal(value, fresh[name]) == name.startswith(frozen), name


def test_validation_psnr_is_that_of_the_formula(whole):
    folder, model, _ = whole
    target = Blobs(8).images.float() / 127.5 - 1
    with torch.no_grad():
        reconstruction = load_model(folder / "last.ckpt", "EarVAE")(target)[0]
    error = ((reconstruction - target) / 2).square().mean((1, 2, 3))
    psnr = (-10 * error.log10()).mean().item()
    rows = read_rows(folder)
    assert float(rows[-1]["val/psnr"]) == pytest.approx(psnr, abs=1e-3)


def test_a_budget_of_minutes_ends_cleanly(tmp_path):
    _, trainer = fit(tmp_path, epochs=1000, max_minutes=0.01)
    assert 0 < trainer.current_epoch < 1000
    assert (tmp_path / "last.ckpt").is_file()
    assert (tmp_path / "best.ckpt").is_file()
    rows = read_rows(tmp_path)
    assert "val/psnr" in rows[-1]


def test_the_perceptual_network_stays_out_of_checkpoints(tmp_path):
    class Distance(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = torch.nn.Parameter(torch.ones(1), requires_grad=False)

        def forward(self, reconstruction, target):
            return self.kernel * (reconstruction - target).square().mean()

    fit(tmp_path, epochs=1, perceptual=Distance())
    assert not any("kernel" in key for key in read_checkpoint(tmp_path / "last.ckpt")["state_dict"])
    assert "train/perceptual" in (tmp_path / "metrics.csv").read_text()


def test_the_perceptual_network_computes_in_the_precision_of_the_training():
    seen = []

    def product(matrix):
        seen.append((matrix @ matrix).dtype)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        called = in_precision_of_now(product, "cpu")
        with torch.autocast("cpu", enabled=False):
            called(torch.ones(2, 2))
            product(torch.ones(2, 2))
    assert seen == [torch.bfloat16, torch.float32]
    assert in_precision_of_now(product, "cpu") is product


def test_schedule_by_hand():
    assert schedule(0.0, step=0, warmup_steps=4) == pytest.approx(0.25)
    assert schedule(0.0, step=3, warmup_steps=4) == pytest.approx(1.0)
    assert schedule(0.5, step=100, warmup_steps=4) == pytest.approx(0.505)
    assert schedule(1.0, step=100, warmup_steps=4) == pytest.approx(0.01)
    assert schedule(0.0, step=0, warmup_steps=0) == 1.0


def test_only_matrices_decay():
    model = tiny_vae()
    decays, rest = parameter_groups(model, 0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    decayed = {names[id(p)] for p in decays["params"]}
    kept = {names[id(p)] for p in rest["params"]}
    assert decayed | kept == {name for name, p in model.named_parameters() if p.requires_grad}
    assert not decayed & kept
    assert all(name.endswith("weight") for name in decayed)
    assert any("pos_embed" in name for name in kept)
    assert any("rel_pos" in name for name in kept)
    assert "encoder.stage1.1.weight" in kept  # a batch norm's


def test_resume_asks_for_a_training_checkpoint(whole, tmp_path):
    folder, *_ = whole
    assert find_resume("", folder, {}) is None
    assert find_resume("auto", tmp_path, {}) is None
    assert find_resume("auto", folder, {}) == folder / "last.ckpt"
    with pytest.raises(UserError, match="nothing to resume"):
        find_resume(str(folder / "best.ckpt"), folder, {})
    with pytest.raises(UserError, match="no such checkpoint"):
        find_resume(str(folder / "absent.ckpt"), folder, {})


def test_unknown_precision(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'bf16-mixed'"):
        build_trainer(tmp_path, 1, "val/psnr", "max", save_best=print, precision="bf16-mix")
