"""The margin teacher: losses by hand, pseudo-classes against random ones, the command, a plain Trainer."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from configs.command import parse_config
from configs.errors import UserError
from data.manifest import Manifest, write_manifest
from teacher.checkpoint import read_checkpoint
from teacher.margin.__main__ import Config, main
from teacher.margin.heads import MetricHead
from teacher.margin.module import EarTeacherLightningModule, agreement, same_ear_found, second_look
from teacher.margin.pseudo_classes import clustered_classes, number_of_classes, random_classes
from teacher.models.margin_teacher import MarginTeacher
from teacher.models.registry import load_model
from teacher.models.teachers import load_teacher
from tests.tiny_backbones import TINY_MARGIN

COLOURS = [(200, 60, 60), (60, 200, 60), (60, 60, 200), (200, 200, 60)]
MODEL = {
    key: TINY_MARGIN[key] for key in ("backbone_options", "decoder_channels", "embedding_dim", "image_size")
}
DATA = ("batch_size", "num_workers")  # of TINY_MARGIN, the settings that are not the module's


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """Ears of four colours, 6 of each to train on and 2 to validate."""
    folder = tmp_path_factory.mktemp("coloured")
    rng = np.random.default_rng(0)
    for name, each in (("train_teacher", 6), ("val_teacher", 2)):
        paths = []
        for colour in range(len(COLOURS)):
            for number in range(each):
                picture = np.full((64, 64, 3), COLOURS[colour], np.uint8)
                centre, axes = (int(rng.integers(26, 38)), 32), (int(rng.integers(8, 16)), 24)
                cv2.ellipse(picture, centre, axes, 0, 0, 360, (230, 180, 160), -1)
                paths.append(str(folder / f"{name}_{colour}_{number}.png"))
                cv2.imwrite(paths[-1], picture[..., ::-1])
        boxes = np.tile(np.array([4, 4, 60, 60], np.float32), (len(paths), 1))
        write_manifest(folder / f"{name}.npy", Manifest(np.array(paths), boxes))
    return folder


def config(folder, output_dir, **changes):
    given = {**TINY_MARGIN, "batch_size": 8, "max_epochs": 2, **changes}
    return Config(folder / "train_teacher.npy", folder / "val_teacher.npy", output_dir, **given)


def head(loss, **changes):
    torch.manual_seed(0)
    return MetricHead(embedding_dim=6, projection_dim=5, classes=4, loss=loss, **changes).eval()


@pytest.mark.parametrize("loss", ["arcface", "cosface"])
def test_the_margin_losses_by_hand(loss):
    margin, scale = 0.4, 16.0
    metric = head(loss, margin=margin, scale=scale)
    embeddings, classes = torch.randn(3, 6), torch.tensor([2, 0, 2])
    predicted = metric.predicted(embeddings).detach()
    total = 0.0
    for row, own in zip(predicted, classes, strict=True):
        logits = []
        for column in range(4):
            weight = metric.loss.W[:, column].detach()
            cosine = (row @ weight / row.norm() / weight.norm()).item()
            if column == own:
                cosine = math.cos(math.acos(cosine) + margin) if loss == "arcface" else cosine - margin
            logits.append(scale * cosine)
        total += math.log(sum(math.exp(value) for value in logits)) - logits[own]
    assert metric(embeddings, classes).item() == pytest.approx(total / 3, rel=1e-4)


def test_imprinted_classes_are_the_mean_directions_of_their_members():
    metric = head("arcface").train()
    embeddings, classes = torch.randn(6, 6), torch.tensor([0, 0, 0, 3, 3, 3])
    before = metric.loss.W.detach().clone()
    metric.imprint_(embeddings, classes)
    assert metric.training
    units = torch.nn.functional.normalize(metric.eval().predicted(embeddings), dim=1)
    mean = units[:3].mean(dim=0)
    torch.testing.assert_close(metric.loss.W[:, 0], mean / mean.norm())
    assert torch.equal(metric.loss.W[:, 1:3], before[:, 1:3])  # of classes that nobody is in


def test_clusters_are_the_groups_there_are_and_random_classes_are_not():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), 20)
    embeddings = (np.eye(16)[groups] + rng.normal(0, 0.1, (160, 16))) * rng.uniform(0.5, 2, (160, 1))
    assert agreement(groups, clustered_classes(embeddings, 8)) > 0.9
    assert abs(agreement(groups, random_classes(160, 8))) < 0.1
    assert (random_classes(160, 8, seed=1) != random_classes(160, 8, seed=2)).any()
    assert number_of_classes(160, 512) == 80
    assert clustered_classes(embeddings, 512).max() < 80


def test_published_sizes():
    with torch.device("meta"):
        model = MarginTeacher(pretrained=False)
        reconstruction, embedding, logvar = model(torch.zeros(2, 3, 224, 224, device="meta"))
    assert reconstruction.shape == (2, 3, 224, 224)
    assert embedding.shape == logvar.shape == (2, 768)
    assert sum(p.numel() for p in model.encoder.backbone.parameters()) == 27_818_592  # ConvNeXt-T, no head
    assert all(p.requires_grad for p in model.parameters())


def test_the_pyramid_is_that_of_the_stages_and_the_latent_a_point():
    model = MarginTeacher(**MODEL, pretrained=False).train()
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    maps = model.feature_maps(images)
    assert {name: tuple(values.shape[1:]) for name, values in maps.items()} == {
        "backbone": (8, 16, 16), "feat1": (16, 8, 8), "feat2": (24, 4, 4), "feat3": (32, 2, 2)
    }  # fmt: skip
    torch.manual_seed(0)
    first = model.reconstruct(maps["feat3"])[0]
    torch.testing.assert_close(first, model.reconstruct(maps["feat3"])[0])  # no noise, in training too
    first.square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.fixture(scope="module")
def trained(coloured, tmp_path_factory):
    return main(config(coloured, tmp_path_factory.mktemp("margin"), max_epochs=6, learning_rate=3e-3))


def test_training_leaves_what_later_stages_need(trained):
    for epoch in range(6):
        assert cv2.imread(str(trained / "reconstruction_collages" / f"epoch_{epoch:04d}.png")) is not None
    kept = sorted(path.name for path in trained.glob("epoch=*.ckpt"))
    assert len([name for name in kept if "psnr" in name]) == 3
    assert "epoch=004.ckpt" in kept  # the fifth
    assert isinstance(load_teacher(trained / "best.ckpt"), MarginTeacher)
    assert load_model(trained / "last.ckpt", "MarginTeacher").hparams["embedding_dim"] == 32
    assert not [key for key in read_checkpoint(trained / "best.ckpt")["state_dict"] if "head" in key]


@pytest.mark.trains
def test_pseudo_classes_of_a_trained_teacher_say_more_of_ears_than_random_ones(trained):
    """The drawn ears are of four colours, which no loss was told."""
    colours = np.repeat(np.arange(4), 6)
    found = read_checkpoint(trained / "last.ckpt")["pseudo_classes"].numpy()
    assert agreement(colours, found) > agreement(colours, random_classes(24, 4)) + 0.3


@pytest.mark.trains
def test_a_killed_training_resumes_to_what_it_would_have_been(coloured, tmp_path, monkeypatch):
    whole = main(config(coloured, tmp_path / "whole", renew_epochs=3))
    step = EarTeacherLightningModule.training_step

    def killed_in_the_second_epoch(self, batch, batch_index):
        if self.current_epoch == 1 and batch_index == 1:
            raise RuntimeError("killed")
        return step(self, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(EarTeacherLightningModule, "training_step", killed_in_the_second_epoch)
        with pytest.raises(RuntimeError, match="killed"):
            main(config(coloured, tmp_path / "cut", renew_epochs=3))
    resumed = main(config(coloured, tmp_path / "cut", renew_epochs=3, resume="auto"))
    ends = [read_checkpoint(folder / "last.ckpt") for folder in (whole, resumed)]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*smaller than the logging")
def test_a_plain_trainer_trains_it(coloured, tmp_path, monkeypatch):
    import pytorch_lightning as pl

    from data import EarDataModule

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "preprocessed").symlink_to(coloured)
    monkeypatch.chdir(tmp_path)
    given = {key: value for key, value in TINY_MARGIN.items() if key not in DATA}
    module = EarTeacherLightningModule(learning_rate=1e-3, max_epochs=1, **given)
    before = module.model.decoder.to_rgb.weight.detach().clone()
    trainer = pl.Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, EarDataModule(batch_size=8, num_workers=0))
    assert not torch.equal(module.model.decoder.to_rgb.weight, before)
    assert (tmp_path / "reconstruction_collages" / "epoch_0000.png").is_file()


@pytest.mark.parametrize(
    "changes", [{"metric_loss": "none"}, {"metric_loss": "cosface"}, {"pseudo_classes": "random"}]
)
def test_its_variants_train(coloured, tmp_path, changes):
    folder = main(config(coloured, tmp_path, max_epochs=1, augment=False, num_collage_samples=0, **changes))
    header = (folder / "metrics.csv").read_text().splitlines()[0]
    assert ("train/metric" in header) == (changes.get("metric_loss") != "none")
    assert not (folder / "reconstruction_collages").exists()


def test_a_second_look_is_recognised_by_what_is_seen():
    images = torch.rand(4, 3, 64, 64) * 2 - 1
    looks = second_look(images)
    assert looks.shape == images.shape and (looks.mean() - images.mean()) < -0.1
    first = torch.eye(4)
    assert same_ear_found(first, first) == 1
    assert same_ear_found(first, first[[1, 0, 2, 3]]) == 0.5


def test_flags_may_have_underscores_or_hyphens(tmp_path):
    words = "--max_epochs 3 --num-pseudo-classes 8 --pretrained_path x.pth --experiment-name a --no-augment"
    found = parse_config(Config, words.split(), "teacher.margin")
    assert (found.max_epochs, found.num_pseudo_classes, found.pretrained_path) == (3, 8, "x.pth")
    assert (found.experiment_name, found.augment) == ("a", False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 100}, "image_size=100 is not a multiple of 32"),
        ({"decoder_channels": (8, 8)}, "6 numbers are needed"),
        (
            {"pretrained": True, "pretrained_path": "absent.pth"},
            r"--pretrained-path absent\.pth: no such file",
        ),
    ],
)
def test_settings_that_make_no_sense(coloured, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        main(config(coloured, tmp_path, **changes))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="renew_epochs=0"):
        replace(config(coloured, tmp_path), renew_epochs=0)
