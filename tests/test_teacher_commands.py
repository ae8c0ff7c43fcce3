"""The teacher's commands at tiny size: train, evaluate, eigenears, embed; their maths against oracles."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from configs.build import configured, with_options
from configs.errors import UserError
from data.augmentation import GeometryConfig, PhotometryConfig
from data.bootstrap import interval_of_mean
from data.manifest import read_manifest
from data.render.scene.photograph import render_ear
from data.tensors import to_signed
from teacher import eigenears, embed, evaluate, train
from teacher.checkpoint import read_checkpoint
from teacher.factor_shares import factor_shares
from teacher.models.embeddings import embed_images, most_similar
from teacher.models.registry import load_model
from teacher.pictures import pairs_grid, to_pixels
from tests.tiny_teacher import TINY_VAE, tiny_vae

pytestmark = pytest.mark.trains


def train_config(rendered, folder, **changes):
    given = {
        "train_npy": rendered / "train_teacher.npy",
        "val_npy": rendered / "val_teacher.npy",
        "output_dir": folder,
        "pretrained": False,
        "perceptual_weight": 0,
        "epochs": 2,
        "batch_size": 8,
        "num_workers": 0,
        "lr": 1e-3,
        "warmup_steps": 2,
        **TINY_VAE,
        "freeze_layers": 0,
    }
    return configured(train.Config, **{**given, **changes})


@pytest.fixture(scope="module")
def trained(rendered, tmp_path_factory) -> Path:
    return train.main(train_config(rendered, tmp_path_factory.mktemp("teacher")))


def test_train_leaves_what_later_stages_need(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["psnr"] > 5
    assert metrics["epochs"] == 2
    assert (trained / "run.yaml").is_file()
    assert len(list((trained / "reconstructions").glob("epoch_*.png"))) == 2
    assert load_model(trained / "best.ckpt", "EarVAE").hparams["latent_dim"] == 32


def test_a_teacher_trains_in_bf16(rendered, tmp_path):
    folder = train.main(train_config(rendered, tmp_path, epochs=1, precision="bf16-mixed"))
    assert json.loads((folder / "metrics.json").read_text())["psnr"] > 5


def test_a_killed_training_resumes_to_what_it_would_have_been(rendered, trained, tmp_path, monkeypatch):
    """Order, augmentation, noise, optimizer and learning rate are those of the uninterrupted training."""
    from teacher.vae_training.module import EarVAEModule

    step = EarVAEModule.training_step

    def killed_in_the_second_epoch(self, batch, batch_index):
        if self.current_epoch == 1 and batch_index == 1:
            raise RuntimeError("killed")
        return step(self, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(EarVAEModule, "training_step", killed_in_the_second_epoch)
        with pytest.raises(RuntimeError, match="killed"):
            train.main(train_config(rendered, tmp_path))
    with pytest.raises(UserError, match="latent_dim is 32 there, 16 here"):
        train.main(train_config(rendered, tmp_path, latent_dim=16, resume="auto"))
    train.main(train_config(rendered, tmp_path, resume="auto"))
    resumed, whole = (read_checkpoint(folder / "last.ckpt") for folder in (tmp_path, trained))
    assert resumed["global_step"] == whole["global_step"]
    for name, value in whole["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], value), name
    assert (tmp_path / "metrics.json").read_text() == (trained / "metrics.json").read_text()


def test_train_starts_from_other_weights(rendered, trained, tmp_path):
    folder = train.main(
        train_config(
            rendered, tmp_path, epochs=1, lr=0.0, init_checkpoint=str(trained / "best.ckpt"), freeze_layers=2
        )
    )
    model, before = load_model(folder / "best.ckpt", "EarVAE"), load_model(trained / "best.ckpt", "EarVAE")
    for (name, parameter), given in zip(model.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(parameter, given), name


def test_train_takes_several_manifests_and_no_augmentation(rendered, tmp_path):
    still = {"geometry": GeometryConfig(0, 0, 0, 0, 0), "photometry": PhotometryConfig(0, 0, 0, 0, 0)}
    more = (rendered / "test_teacher.npy",)
    folder = train.main(
        train_config(rendered, tmp_path, epochs=1, batch_size=4, more_train_npy=more, **still)
    )
    ears = len(read_manifest(rendered / "train_teacher.npy")) + len(read_manifest(more[0]))
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == ears // 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_npy": Path("absent.npy")}, r"absent\.npy"),
        ({"kl_weight": -1.0}, "kl_weight=-1.0"),
        ({"backbone_options": {"hiden_size": 3}}, "hidden_size"),
        ({"init_checkpoint": "absent.ckpt"}, r"absent\.ckpt: no such checkpoint"),
        ({"weights": "absent.pth", "pretrained": True}, r"absent\.pth: no such file"),
        ({"vgg_weights": "absent.pth", "perceptual_weight": 1.0}, r"absent\.pth: no such file"),
    ],
)
def test_train_says_what_is_wrong_before_it_starts(rendered, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        train.main(train_config(rendered, tmp_path, **changes))
    assert not list(tmp_path.iterdir())


def test_evaluate(rendered, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "PICTURED", 6)
    evaluate.main(evaluate.Config(trained / "best.ckpt", rendered / "val_teacher.npy", tmp_path))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    kept = json.loads((trained / "metrics.json").read_text())
    assert metrics["psnr"] == pytest.approx(kept["psnr"], abs=1e-3)
    assert metrics["ssim"] == pytest.approx(kept["ssim"], abs=1e-3)
    assert metrics["psnr_interval"][0] < metrics["psnr"] < metrics["psnr_interval"][1]
    assert 0 <= metrics["latent_cosine"] <= 1
    assert metrics["ears"] == len(read_manifest(rendered / "val_teacher.npy"))
    for name in ("reconstructions.png", "worst.png"):
        assert cv2.imread(str(tmp_path / name)).shape == (2 * 64 + 2, 6 * 64 + 5 * 2, 3)


def test_bootstrap_interval_is_the_normal_one_for_many_values():
    values = np.random.default_rng(0).normal(3, 2, 4000)
    low, high = interval_of_mean(values, evaluate.DRAWS, seed=1)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)


def test_eigenears(rendered, trained, tmp_path):
    config = eigenears.Config(trained / "best.ckpt", rendered / "train_teacher.npy", tmp_path, components=3)
    eigenears.main(config)
    for number in (1, 2, 3):
        assert cv2.imread(str(tmp_path / f"pc_{number}.png")).shape[1] == 7 * 64 + 6 * 2
    assert not (tmp_path / "pc_4.png").exists()
    assert (tmp_path / "grid.png").is_file()
    assert (tmp_path / "variance.png").is_file()
    variance = json.loads((tmp_path / "variance.json").read_text())
    assert variance["cumulative"][-1] == pytest.approx(sum(variance["explained"]), abs=1e-5)
    kept = np.load(tmp_path / "latents.npz")
    model = load_model(trained / "best.ckpt", "EarVAE")
    with torch.inference_mode():
        mean_ear = to_pixels(model.decode(torch.from_numpy(kept["mean"])[None]))[0]
    row = cv2.cvtColor(cv2.imread(str(tmp_path / "pc_1.png")), cv2.COLOR_BGR2RGB)
    middle = row[-64:, 3 * 66 : 3 * 66 + 64]
    assert np.abs(middle.astype(int) - mean_ear).max() <= 1


def test_principal_components_against_the_covariance():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(200, 6)) @ np.diag([5, 3, 2, 1, 0.5, 0.1]) @ rng.normal(size=(6, 6)) + 7
    found = eigenears.principal_components(latents, 4)
    values, vectors = np.linalg.eigh(np.cov(latents.T))
    np.testing.assert_allclose(found.deviations**2, values[::-1][:4], rtol=1e-8)
    np.testing.assert_allclose(found.explained, values[::-1][:4] / values.sum(), rtol=1e-8)
    aligned = np.abs((found.directions * vectors[:, ::-1].T[:4]).sum(axis=1))
    np.testing.assert_allclose(aligned, 1, rtol=1e-8)
    assert (np.take_along_axis(found.directions, np.abs(found.directions).argmax(1)[:, None], 1) > 0).all()


def test_shares_of_factors_are_those_the_scores_were_mixed_of():
    rng = np.random.default_rng(0)
    sources = np.repeat(np.arange(200), 3)
    anatomy, pose = rng.normal(size=(200, 4))[sources], rng.normal(size=(600, 2))
    unit = [anatomy @ [0.5, 0.5, 0.5, 0.5], pose[:, 0], rng.normal(size=600)]
    scores = np.stack([np.sqrt(w) @ np.stack(unit) for w in ([0.7, 0.2, 0.1], [0, 1, 0], [0, 0, 1])], axis=1)
    mixed, turned, noise = factor_shares(scores, {"anatomy": anatomy, "pose": pose}, sources)
    assert mixed == pytest.approx({"anatomy": 0.7, "pose": 0.2, "rest": 0.1}, abs=0.06)
    assert turned == pytest.approx({"anatomy": 0, "pose": 1, "rest": 0}, abs=0.02)
    assert noise == pytest.approx({"anatomy": 0, "pose": 0, "rest": 1}, abs=0.02)


def test_a_factor_that_only_names_the_ears_explains_nothing():
    """Of 30 ears in 3 photographs each, a column an ear would explain everything, were ears on both sides."""
    sources = np.repeat(np.arange(30), 3)
    scores = np.random.default_rng(1).normal(size=(30, 1))[sources]
    assert factor_shares(scores, {"anatomy": np.eye(30)[sources]}, sources)[0]["anatomy"] < 0.05
    with pytest.raises(UserError, match="at least 5"):
        factor_shares(scores[:6], {"anatomy": np.eye(30)[sources][:6]}, sources[:6])


def test_eigenears_say_what_they_mean(rendered, trained, tmp_path, capsys):
    files = trained / "best.ckpt", rendered / "train_teacher.npy"
    factors = rendered / "train_factors.npz"
    eigenears.main(eigenears.Config(*files, tmp_path, components=2, factors=factors))
    assert "component  variance  anatomy     pose    light     skin     rest" in capsys.readouterr().out
    shares = json.loads((tmp_path / "variance.json").read_text())["shares"]
    assert [set(row) for row in shares] == [{"anatomy", "pose", "light", "skin", "rest"}] * 2
    with pytest.raises(UserError, match=r"says nothing of train_00000_0.jpg \(24 of 24"):
        eigenears.main(eigenears.Config(*files, tmp_path, factors=rendered / "test_factors.npz"))
    with pytest.raises(UserError, match="holds no factors"):
        eigenears.main(eigenears.Config(*files, tmp_path, factors=rendered / "train_teacher.npy"))


def test_factors_of_a_mirrored_ear_are_those_that_the_picture_shows():
    ears = [render_ear(seed, 0, 64) for seed in range(8)]
    for ear in ears:
        side, rotation = ear.factors["pose"][0], ear.factors["pose"][1:].reshape(3, 3)
        face_right = ear.landmarks[12, 0] > ear.landmarks[3, 0]
        assert side == (1 if face_right else -1)
        assert np.sign(rotation[0, 0]) == side
        assert {name: len(values) for name, values in ear.factors.items()} == {
            "anatomy": 47, "pose": 10, "light": 9, "skin": 8
        }  # fmt: skip
    assert {ear.factors["pose"][0] for ear in ears} == {-1, 1}


def test_principal_components_of_too_little():
    assert len(eigenears.principal_components(np.eye(3), 16).directions) == 2
    with pytest.raises(UserError, match="at least 2"):
        eigenears.principal_components(np.zeros((1, 4)), 2)
    with pytest.raises(UserError, match="all latents are equal"):
        eigenears.principal_components(np.ones((5, 4)), 2)


@pytest.fixture
def folder_of_crops(tmp_path):
    """Five pictures of different sizes and colours, and a mirrored copy of the first."""
    folder = tmp_path / "crops"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate([(64, 64), (80, 60), (40, 40), (100, 100), (64, 50)]):
        small = rng.integers(0, 256, (5, 4, 3), np.uint8)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        if number == 0:
            cv2.imwrite(str(tmp_path / "mirrored.png"), picture[:, ::-1])
    return folder


def test_embed_finds_an_ear_and_its_mirror_image(trained, folder_of_crops, tmp_path):
    queries = (folder_of_crops / "3.png", tmp_path / "mirrored.png")
    out = tmp_path / "out"
    config = embed.Config(trained / "best.ckpt", folder_of_crops, queries, top=3, output_dir=out)
    embed.main(config)
    found = json.loads((out / "similar.json").read_text())
    assert [Path(matches[0]["image"]).name for matches in found.values()] == ["3.png", "0.png"]
    assert all(len(matches) == 3 for matches in found.values())
    assert all(matches[0]["similarity"] == pytest.approx(1, abs=2e-3) for matches in found.values())
    assert np.load(out / "embeddings.npz")["embeddings"].shape == (5, 32)
    assert cv2.imread(str(out / "similar.png")).shape == (2 * 64 + 4, 4 * 64 + 3 * 4, 3)


def test_embed_images_takes_tensors_and_pictures_alike():
    model = tiny_vae()
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    tensor = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())
    by_hand = model.eval().encode(to_signed(tensor))[0].detach().numpy()
    np.testing.assert_allclose(embed_images(model, tensor, batch_size=2), by_hand, atol=1e-5)
    np.testing.assert_allclose(embed_images(model, list(pictures)), by_hand, atol=1e-5)


def test_most_similar_against_a_loop():
    rng = np.random.default_rng(0)
    embeddings, views = rng.normal(size=(20, 5)), rng.normal(size=(2, 5))

    def cosine(a, b):
        return (
            sum(x * y for x, y in zip(a, b, strict=True))
            / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
        )

    by_hand = sorted(
        ((max(cosine(row, view) for view in views), i) for i, row in enumerate(embeddings)), reverse=True
    )
    rows, cosines = most_similar(embeddings, views, top=4)
    assert rows.tolist() == [i for _, i in by_hand[:4]]
    np.testing.assert_allclose(cosines, [value for value, _ in by_hand[:4]])


def test_embed_of_nothing(trained, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, message in ((tmp_path / "empty", "no images"), (tmp_path / "absent", "no such folder")):
        with pytest.raises(UserError, match=message):
            embed.main(embed.Config(trained / "best.ckpt", folder, output_dir=tmp_path / "out"))


def test_pixels_there_and_back():
    values = torch.arange(256, dtype=torch.uint8).repeat(3, 1).view(1, 3, 16, 16)
    pixels = to_pixels(to_signed(values))
    assert (pixels.transpose(0, 3, 1, 2) == values.numpy()).all()
    assert to_pixels(torch.full((1, 3, 1, 1), 1.5)).max() == 255


def test_pairs_stand_above_each_other():
    tops = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    picture = pairs_grid(tops, tops + 100, columns=3)
    cells = picture[::6, ::6, 0]
    assert cells.tolist() == [[0, 1, 2], [100, 101, 102], [3, 4, 255], [103, 104, 255]]


def test_places_are_matched_between_two_views_and_probed_while_it_trains(rendered, tmp_path):
    config = train_config(
        rendered,
        tmp_path,
        epochs=1,
        matching_weight=1.0,
        exchange_weight=0.5,
        fusion={"width": 16, "cells": 16, "stem_channels": 8},
        probe_npy=rendered / "train_labelled.npy",
    )
    train.main(config)
    (row,) = csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())
    assert float(row["train/matching"]) > 0
    assert float(row["train/exchange"]) > 0
    assert 0 < float(row["val/probe_fused"]) < 1
    assert 0 < float(row["val/probe_pyramid"]) < 1
    kept = read_checkpoint(tmp_path / "best.ckpt")["state_dict"]
    assert not [name for name in kept if "projector" in name], "the projector serves training alone"
    train.main(with_options(config, epochs=2, resume="auto"))
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3
