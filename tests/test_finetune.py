"""Fine-tuning EarDetector: which labels it sees, backgrounds, and a short training end to end."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from configs.errors import UserError
from data.augmentation import GeometryConfig
from data.boxes import iou
from data.dataset import EarCrops
from data.labels import choose_labels
from data.landmarks import load_scheme
from data.manifest import read_manifest, write_manifest
from data.transforms import Geometry
from teacher.detector_training.backgrounds import MAX_COVER, MAX_IOU, BackgroundCrops, draw_window
from teacher.detector_training.data import LabelledViews
from teacher.detector_training.module import targets_of
from teacher.detector_training.report import detector_report, held_out_errors, rank_correlation
from teacher.finetune import Config, main
from tests.drawn_ears import draw_ears
from tests.tiny_teacher import SMALL_FINETUNING, tiny_vae


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """20 drawn ears to train on, 10 to validate, and a VAE of random weights."""
    from teacher.checkpoint import save_weights

    folder = tmp_path_factory.mktemp("finetune")
    draw_ears(folder, "train", photographs=10, seed=1, ears_each=2)
    draw_ears(folder, "val", photographs=10, seed=2)
    save_weights(folder / "vae.ckpt", tiny_vae(freeze_layers=0), "EarVAE")
    return folder


def config(folder, output_dir, **changes):
    small = {**SMALL_FINETUNING, "batch_size": 6, "val_npy": folder / "val.npy"}
    files = {"checkpoint": folder / "vae.ckpt", "train_npy": folder / "train.npy"}
    return Config(**{**files, "output_dir": output_dir, **small, **changes})


def test_a_training_writes_all_that_is_promised(folder, tmp_path):
    assert main(config(folder, tmp_path, labels=12)) == tmp_path
    for name in ("best.ckpt", "last.ckpt", "metrics.csv", "metrics.json", "predictions.png", "tensorboard"):
        assert (tmp_path / name).exists(), name
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert report["labels"] == 12
    assert report["held_out"] == 10
    assert 0 <= report["box_iou"] <= 1
    assert 0 <= report["ear_accuracy"] <= 1
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert report["nme"] == pytest.approx(min(float(row["val/nme"]) for row in rows), rel=1e-4)


def test_the_checkpoint_gives_the_same_model_back(folder, tmp_path):
    from teacher.models.detector import EarDetector

    main(config(folder, tmp_path, epochs=1, labels=6))
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    from_weights = EarDetector.load_from_checkpoint(tmp_path / "best.ckpt")
    from_training = EarDetector.load_from_checkpoint(tmp_path / "last.ckpt")
    for one, other in zip(from_weights(images), from_training(images), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.trains
def test_a_resumed_training_ends_as_an_uninterrupted_one(folder, tmp_path):
    main(config(folder, tmp_path / "whole", epochs=2))
    # Stop after the first of two epochs: the same schedule, cut off.
    from pytorch_lightning import Trainer

    cut = tmp_path / "cut"
    original = Trainer.fit

    def fit_one_epoch(self, *args, **kwargs):
        from pytorch_lightning import Callback

        class Stop(Callback):
            def on_train_epoch_start(self, trainer, module):
                if trainer.current_epoch == 1:
                    raise KeyboardInterrupt

        self.callbacks.append(Stop())
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "fit", fit_one_epoch)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            main(config(folder, cut, epochs=2))
    assert torch.load(cut / "last.ckpt", weights_only=True)["global_step"] > 0
    assert not (cut / "metrics.json").exists()
    main(config(folder, cut, epochs=2, resume="auto"))
    whole, resumed = (
        torch.load(path / "last.ckpt", weights_only=True)["state_dict"] for path in (tmp_path / "whole", cut)
    )
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=1e-4, atol=1e-5)


def test_the_twin_and_the_frozen_one(folder, tmp_path):
    """From the checkpoint and frozen, the encoder ends where it began; from scratch it never was there."""
    begun = torch.load(folder / "vae.ckpt", weights_only=True)["state_dict"]
    main(config(folder, tmp_path / "frozen", epochs=1, labels=6, freeze_encoder=True))
    main(config(folder, tmp_path / "twin", epochs=1, labels=6, from_scratch=True))
    name = "model.encoder.stage1.0.weight"
    frozen, twin = (
        torch.load(tmp_path / run / "best.ckpt", weights_only=True)["state_dict"]
        for run in ("frozen", "twin")
    )
    assert all(
        torch.equal(frozen[key], value) for key, value in begun.items() if key.startswith("model.encoder")
    )
    assert (twin[name] - begun[name]).abs().mean() > 0.01
    assert {key: value.shape for key, value in twin.items()} == {key: v.shape for key, v in frozen.items()}


def test_it_trains_in_sixteen_bits(folder, tmp_path):
    main(config(folder, tmp_path, epochs=1, labels=6, precision="bf16-mixed"))
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert np.isfinite(report["nme"])


@pytest.mark.trains
@pytest.mark.slow
def test_it_learns_the_points_of_drawn_ears(folder, tmp_path):
    """Far below what the mean shape in the true box reaches on these ellipses."""
    steps = {"epochs": 8, "min_steps_per_epoch": 25, "batch_size": 12, "warmup_steps": 20}
    main(config(folder, tmp_path, from_scratch=True, lr=3e-3, **steps))
    with (tmp_path / "metrics.csv").open() as file:
        errors = [float(row["val/nme"]) for row in csv.DictReader(file)]
    assert errors[-1] < 0.05
    assert errors[-1] < errors[0]


def test_labels_are_nested_and_counted(folder):
    def chosen(labels):
        ears = choose_labels(folder / "train.npy", folder / "val.npy", labels, 17, seed=0)
        return {tuple(box) for box in ears.train.boxes_xyxy.tolist()}

    assert len(chosen(5)) == 5
    assert len(chosen(0.5)) == 10
    assert len(chosen(0)) == 20
    assert chosen(5) < chosen(8) < chosen(0)
    with pytest.raises(UserError, match="21 ears asked for"):
        chosen(21)


def test_without_a_validation_set_whole_photographs_are_held_out(folder):
    ears = choose_labels(folder / "train.npy", None, 0, 17, seed=0)
    assert len(ears.train) + len(ears.held_out) == 20
    assert 2 <= len(ears.held_out) <= 5
    assert not set(ears.train.image_paths) & set(ears.held_out.image_paths)
    assert "held out" in ears.held_out_from


def test_too_few_labels_to_hold_some_out_are_refused(folder):
    with pytest.raises(UserError, match="too few to hold a part"):
        choose_labels(folder / "train.npy", None, 1, 17, seed=0)


def test_manifests_without_usable_landmarks_are_refused(folder, tmp_path):
    ears = read_manifest(folder / "train.npy")
    write_manifest(tmp_path / "bare.npy", replace(ears, landmarks=None, visibility=None))
    with pytest.raises(UserError, match="no landmarks"):
        choose_labels(tmp_path / "bare.npy", None, 0, 17, seed=0)
    with pytest.raises(UserError, match="17 points an ear, expected 5"):
        choose_labels(folder / "train.npy", None, 0, 5, seed=0)
    write_manifest(tmp_path / "blank.npy", replace(ears, visibility=np.zeros_like(ears.visibility)))
    with pytest.raises(UserError, match="no ear with an annotated point"):
        choose_labels(tmp_path / "blank.npy", None, 0, 17, seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": -1}, "labels=-1"),
        ({"labels": 2.5}, "labels=2.5"),
        ({"background_share": 1.0}, "background_share"),
        ({"epochs": 0}, "epochs=0"),
        ({"from_scratch": True, "freeze_encoder": True}, "random weights"),
    ],
)
def test_settings_that_make_no_sense_are_refused(folder, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        config(folder, tmp_path, **changes)


def test_a_detector_goes_on_learning_from_what_it_knows(folder, tmp_path):
    from teacher.checkpoint import save_weights
    from teacher.models.detector import EarDetector
    from teacher.models.registry import load_model

    taught = EarDetector.from_vae(tiny_vae(freeze_layers=0), width=8, heatmap_cells=16, stem_channels=8)
    save_weights(tmp_path / "taught.ckpt", taught, "EarDetector")
    same = {"checkpoint": tmp_path / "taught.ckpt", "epochs": 1, "lr": 0.0}
    main(config(folder, tmp_path / "same", **same))
    kept = load_model(tmp_path / "same" / "best.ckpt", "EarDetector")
    assert kept.hparams["width"] == 8, "its own sizes, not those of the settings"
    for name, value in taught.named_parameters():
        assert torch.equal(dict(kept.named_parameters())[name], value)
    with pytest.raises(UserError, match="takes its sizes from an EarVAE"):
        main(config(folder, tmp_path / "no", from_scratch=True, checkpoint=tmp_path / "taught.ckpt"))
    other = EarDetector.from_vae(tiny_vae(freeze_layers=0), num_landmarks=5, width=8, heatmap_cells=16)
    save_weights(tmp_path / "other.ckpt", other, "EarDetector")
    with pytest.raises(UserError, match="reads 5 points"):
        main(config(folder, tmp_path / "no", checkpoint=tmp_path / "other.ckpt"))


def test_passes_of_an_epoch_and_epochs_never_repeat_a_view(folder):
    manifest = read_manifest(folder / "train.npy").select(range(3))
    ears = EarCrops(manifest, 64, geometry=Geometry(GeometryConfig(), 64))
    views = LabelledViews(ears, passes=2)
    assert len(views) == 6
    matrices = {tuple(views[(epoch, i)]["matrix"].flatten().tolist()) for epoch in range(3) for i in range(6)}
    assert len(matrices) == 18
    assert torch.equal(views[(1, 4)]["image"], views[(1, 4)]["image"])


def test_backgrounds_come_after_the_ears_and_take_turns(folder):
    manifest = read_manifest(folder / "train.npy")
    backgrounds = BackgroundCrops(manifest, 17, 64, count=4, seed=0)
    assert len(backgrounds) == 4
    views = LabelledViews(EarCrops(manifest.select(range(3)), 64), backgrounds, 1, background_views=6)
    assert [views[i]["is_ear"].item() for i in range(len(views))] == [1.0] * 3 + [0.0] * 6
    batch = torch.utils.data.default_collate([views[i] for i in range(len(views))])
    targets = targets_of(batch)
    assert targets.edges_unit[:3].isfinite().all()
    assert targets.edges_unit[3:].isnan().all()
    assert (targets.visibility[3:] == 0).all()
    assert not any(torch.equal(batch["image"][3 + i], batch["image"][4 + i]) for i in range(3))


def test_the_window_margin_is_where_the_box_is_read(folder):
    """Without augmentation the longer side of the box fills 1 / 1.2 of the crop, in its middle."""
    views = LabelledViews(EarCrops(read_manifest(folder / "val.npy"), 64))
    targets = targets_of(torch.utils.data.default_collate([views[i] for i in range(4)]))
    sides = targets.edges_unit[:, 2:] - targets.edges_unit[:, :2]
    torch.testing.assert_close(sides.amax(dim=1), torch.full((4,), 1 / 1.2), atol=1e-4, rtol=0)
    middle = (targets.edges_unit[:, 2:] + targets.edges_unit[:, :2]) / 2
    torch.testing.assert_close(middle, torch.full((4, 2), 0.5), atol=1e-4, rtol=0)


def test_windows_keep_away_from_every_ear():
    rng = np.random.default_rng(0)
    boxes = np.array([[20.0, 20, 60, 80], [120, 40, 160, 90]], np.float32)
    windows = [draw_window((150, 200, 3), boxes, rng) for _ in range(50)]
    windows = np.array([window for window in windows if window is not None])
    assert len(windows) > 40
    assert (windows[:, :2] >= 0).all()
    assert (windows[:, 2] <= 200.001).all()
    assert (windows[:, 3] <= 150.001).all()
    for box in boxes:
        half = max(box[2:] - box[:2]) * 0.6
        centre = (box[:2] + box[2:]) / 2
        ear_window = np.concatenate((centre - half, centre + half))
        assert (iou(windows, np.tile(ear_window, (len(windows), 1))) <= MAX_IOU + 1e-5).all()
        shared = np.minimum(windows[:, 2:], box[2:]) - np.maximum(windows[:, :2], box[:2])
        assert (shared.clip(0).prod(axis=1) <= (MAX_COVER + 1e-5) * (box[2:] - box[:2]).prod()).all()


def test_a_photograph_full_of_ear_has_no_background():
    whole = np.array([[0.0, 0, 100, 100]], np.float32)
    assert draw_window((100, 100, 3), whole, np.random.default_rng(0)) is None


def test_held_out_errors_against_hand_computed_ones():
    points = np.zeros((3, 17, 2), np.float32)
    points[:, 1] = (30, 40)  # extent 30 x 40, diagonal 50
    predictions = {
        "points_px": points + np.array([3.0, 4.0], np.float32),
        "true_points_px": points,
        "visibility": np.full((3, 17), 2),
        "edges_px": np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 1, 1]], np.float32),
        "true_edges_px": np.array([[0, 0, 10, 10], [5, 0, 15, 10], [np.nan] * 4], np.float32),
        "ear": np.array([0.9, 0.2, 0.1]),
        "is_ear": np.array([1.0, 1.0, 0.0]),
        "confidence": np.tile(np.linspace(0, 1, 17), (3, 1)),
        "visible": np.full((3, 17), 0.9),
    }
    errors = held_out_errors(predictions)
    assert errors == pytest.approx({"nme": 0.1, "box_iou": (1 + 1 / 3) / 2, "ear_accuracy": 0.75})
    assert "visibility_accuracy" not in detector_report(predictions)  # no point is hidden
    json.dumps(detector_report(predictions))


def test_rank_correlation_agrees_with_scipy():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    values, others = rng.random(50), rng.random(50)
    assert rank_correlation(values, others) == pytest.approx(spearmanr(values, others).statistic)
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1.0)
    assert rank_correlation(values, np.zeros(50)) == 0.0


def test_mirrored_views_follow_the_scheme(folder):
    """With points 0 and 1 swapped by the scheme, a mirrored view reads index 0 where the photograph has 1."""
    scheme = replace(load_scheme(), flip=[1, 0, *range(2, 17)])
    manifest = read_manifest(folder / "val.npy").select([0])
    geometry = Geometry(GeometryConfig(flip=1, rotate_deg=0, shift=0, scale=0, box_jitter=0), 64)
    item = EarCrops(manifest, 64, geometry=geometry, scheme=scheme)[0]
    matrix = item["matrix"].numpy()
    expected = manifest.landmarks[0, 1] @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(item["points_px"][0].numpy(), expected, atol=1e-3)
