"""Handing a model on: half the bytes, the same model, nothing overwritten."""

from pathlib import Path

import pytest
import torch

from configs.errors import UserError
from teacher import EarVAE
from teacher.checkpoint import save_weights
from teacher.ship import Config, main
from tests.test_vae import TINY


def test_half_the_bytes_the_same_reconstruction(tmp_path: Path):
    vae = EarVAE(**TINY).eval()
    whole, small = save_weights(tmp_path / "whole.ckpt", vae, "EarVAE"), tmp_path / "small.ckpt"
    assert main(Config(whole, small)) == small
    assert small.stat().st_size < 0.7 * whole.stat().st_size
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    shipped = EarVAE.load_from_checkpoint(small)
    assert next(shipped.parameters()).dtype == torch.float32
    assert (shipped(images)[0] - vae(images)[0]).abs().max() < 0.01


def test_an_existing_file_stays_and_a_large_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = save_weights(tmp_path / "whole.ckpt", EarVAE(**TINY), "EarVAE")
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        main(Config(whole, tmp_path / "mine"))
    assert (tmp_path / "mine").read_text() == "mine"
    monkeypatch.setattr("teacher.ship.MAX_MB", 0.001)
    with pytest.raises(UserError, match=r"the limit is 0\.001 MB"):
        main(Config(whole, tmp_path / "small.ckpt"))
    assert not (tmp_path / "small.ckpt").exists()
