"""Checkpoints: what is saved comes back equal, and every file that does not belong is refused in words."""

import pickle

import pytest
import torch

from configs.errors import UserError
from teacher.checkpoint import load_weights_into, read_checkpoint, save_weights
from teacher.fitting import misfits
from teacher.models.registry import load_model
from teacher.models.vae import EarVAE
from tests.tiny_teacher import tiny_vae


@pytest.fixture
def saved(tmp_path):
    model = tiny_vae(seed=1)
    model.train()(torch.rand(4, 3, 64, 64))  # moves the batch norms' statistics
    return model.eval(), save_weights(tmp_path / "vae.ckpt", model, "EarVAE")


def test_saved_and_loaded_models_are_equal(saved):
    model, path = saved
    again = EarVAE.load_from_checkpoint(path)
    assert not again.training
    assert again.hparams == model.hparams
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    torch.testing.assert_close(again(images)[0], model(images)[0], atol=0, rtol=0)


def test_half_precision_halves_the_file_and_stays_close(saved, tmp_path):
    model, path = saved
    small = save_weights(tmp_path / "half.ckpt", model, "EarVAE", half=True)
    assert small.stat().st_size < 0.6 * path.stat().st_size
    again = load_model(small, "EarVAE")
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    assert again.decoder.from_latent.weight.dtype == torch.float32
    torch.testing.assert_close(again(images)[0], model(images)[0], atol=0.02, rtol=0)


def test_the_frozen_part_is_frozen_again_after_loading(saved):
    model, path = saved
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    again = load_model(path, "EarVAE")
    assert frozen
    assert frozen == {name for name, p in again.named_parameters() if not p.requires_grad}


def test_files_that_are_no_checkpoint(saved, tmp_path):
    _, path = saved
    with pytest.raises(UserError, match=r"absent\.ckpt: no such checkpoint"):
        load_model(tmp_path / "absent.ckpt", "EarVAE")
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"cut\.ckpt: cannot be read, the file is truncated.*5,000 bytes"):
        load_model(cut, "EarVAE")
    for name, content in (("text.ckpt", b"not a checkpoint at all"), ("empty.ckpt", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            load_model(tmp_path / name, "EarVAE")
    torch.save({"state_dict": {"conv.weight": torch.zeros(1)}}, tmp_path / "resnet.ckpt")
    with pytest.raises(UserError, match="not a checkpoint of this project's teacher"):
        load_model(tmp_path / "resnet.ckpt", "EarVAE")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(UserError, match="holds a list"):
        load_model(tmp_path / "list.ckpt", "EarVAE")


class Trap:
    """Unpickling it would leave a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    torch.save({"hyper_parameters": Trap(tmp_path / "mark")}, tmp_path / "trap.ckpt")
    with pytest.raises(UserError, match="could run code"):
        read_checkpoint(tmp_path / "trap.ckpt")
    (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "mark")))
    with pytest.raises(UserError):
        read_checkpoint(tmp_path / "trap.pkl")
    assert not (tmp_path / "mark").exists()


def test_another_kind_of_model_is_refused(saved, tmp_path):
    model, _ = saved
    path = save_weights(tmp_path / "other.ckpt", model, "EarDetector")
    with pytest.raises(UserError, match="holds an EarDetector, but an EarVAE is needed"):
        load_model(path, "EarVAE")


def test_another_latent_size_is_named(saved):
    model = tiny_vae(latent_dim=16)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(UserError, match="latent_dim is 32 there, 16 here"):
        load_weights_into(model, saved[1], "EarVAE")
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())


def test_the_same_sizes_fill_a_model_that_freezes_otherwise(saved):
    model = tiny_vae(seed=5, freeze_layers=0)
    load_weights_into(model, saved[1], "EarVAE")
    assert all(torch.equal(value, saved[0].state_dict()[key]) for key, value in model.state_dict().items())


def test_weights_that_contradict_their_own_settings(saved, tmp_path):
    content = read_checkpoint(saved[1])
    content["state_dict"]["model.decoder.from_latent.weight"] = torch.zeros(3, 3)
    torch.save(content, tmp_path / "odd.ckpt")
    with pytest.raises(UserError, match=r"decoder\.from_latent\.weight is \(3, 3\)"):
        load_model(tmp_path / "odd.ckpt", "EarVAE")


def test_misfits_by_hand():
    a, b = torch.Size([1]), torch.Size([2])
    assert misfits({"x": a}, {"x": a}) == ""
    assert misfits({"x": a, "z": a}, {"x": b, "y": a}) == (
        "1 missing: y; 1 unknown: z; 1 of another shape: x is (1,), needs (2,)"
    )


def test_a_full_disk_is_a_clear_error_and_keeps_the_old_file(saved, monkeypatch):
    model, path = saved
    before = path.read_bytes()

    def full(content, file):
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(b"x")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"vae\.ckpt: the disk is full"):
        save_weights(path, model, "EarVAE")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["vae.ckpt"]


def test_a_fused_map_may_be_missing_or_too_much(tmp_path, capsys):
    sizes = {"width": 16, "cells": 16, "stem_channels": 8}
    plain, fused = tiny_vae(seed=1), tiny_vae(seed=2, fusion=sizes)
    without = save_weights(tmp_path / "plain.ckpt", plain, "EarVAE")
    with_fusion = save_weights(tmp_path / "fused.ckpt", fused, "EarVAE")

    model = tiny_vae(seed=3, fusion=sizes)
    before = {key: value.clone() for key, value in model.fusion.state_dict().items()}
    load_weights_into(model, without, "EarVAE")
    assert "no fused map" in capsys.readouterr().out
    assert all(torch.equal(value, before[key]) for key, value in model.fusion.state_dict().items())
    assert torch.equal(model.encoder.to_mu[0].weight, plain.encoder.to_mu[0].weight)

    model = tiny_vae(seed=3)
    load_weights_into(model, with_fusion, "EarVAE")
    assert "left out" in capsys.readouterr().out
    assert torch.equal(model.encoder.to_mu[0].weight, fused.encoder.to_mu[0].weight)

    other = tiny_vae(seed=3, fusion={**sizes, "width": 8})
    with pytest.raises(UserError, match="fusion is"):
        load_weights_into(other, with_fusion, "EarVAE")
