"""Ears without labels in fine-tuning: where a point goes in the moved view, and a short training."""

import csv

import numpy as np
import pytest
import torch

from configs.build import configured
from configs.errors import UserError
from data import crops
from data.augmentation import PhotometryConfig
from data.dataset import EarCrops
from data.manifest import read_manifest
from teacher.detector_training.data import LabelledViews
from teacher.detector_training.options import ViewOptions
from teacher.detector_training.unlabelled import consistency_loss, points_to_find, ramp, with_unlabelled
from teacher.finetune import Config, main
from teacher.models.heatmaps import gaussian_targets
from tests.drawn_ears import draw_ears
from tests.tiny_teacher import SMALL_FINETUNING, tiny_vae

SIDE_PX, CELLS = 64, 16
FLIP = [1, 0, 2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten labelled ears, ten to validate, ten that are used without their labels, a VAE of random weights."""
    from teacher.checkpoint import save_weights

    folder = tmp_path_factory.mktemp("consistency")
    for number, name in enumerate(("train", "val", "unlabelled")):
        draw_ears(folder, name, photographs=10, seed=number + 1)
    save_weights(folder / "vae.ckpt", tiny_vae(freeze_layers=0), "EarVAE")
    return folder


def config(folder, output_dir, **changes):
    small = {**SMALL_FINETUNING, "batch_size": 4, "ema_decay": 0.9}
    files = {name: folder / f"{name}.npy" for name in ("train", "val", "unlabelled")}
    files = {f"{name}_npy": path for name, path in files.items()}
    given = {"checkpoint": folder / "vae.ckpt", **files, "output_dir": output_dir, **small, **changes}
    return configured(Config, **given)


def beside(labelled, folder, **views):
    """The labelled views beside those of the ears without labels."""
    return with_unlabelled(labelled, folder / "unlabelled.npy", False, ViewOptions(**views), SIDE_PX, seed=0)


def moved_loss(matrix, found_unit, taught_unit, confidence):
    """The loss of heatmaps that are Gaussians at found_unit (1, 3, 2)."""
    heatmaps = gaussian_targets(torch.tensor([found_unit]), CELLS, CELLS).clamp_min(1e-12).log()
    to_moved = torch.tensor([matrix])
    return consistency_loss(
        heatmaps, torch.tensor([taught_unit]), torch.tensor([confidence]), to_moved, SIDE_PX, FLIP, 0
    ).item()


def test_points_are_wanted_where_the_warp_takes_them():
    taught = [[0.3, 0.4], [0.5, 0.6], [0.6, 0.3]]
    shift_px = [[1.0, 0.0, 8.0], [0.0, 1.0, 4.0]]
    moved = [[x + 8 / SIDE_PX, y + 4 / SIDE_PX] for x, y in taught]
    assert moved_loss(shift_px, moved, taught, [1.0] * 3) < 0.02
    assert moved_loss(shift_px, taught, taught, [1.0] * 3) > 1.0


def test_a_mirrored_view_swaps_the_points_that_mirroring_swaps():
    taught = [[0.3, 0.4], [0.5, 0.6], [0.6, 0.3]]
    mirror = [[-1.0, 0.0, SIDE_PX - 1.0], [0.0, 1.0, 0.0]]
    mirrored = [[1 - x, y] for x, y in taught]
    swapped = [mirrored[k] for k in FLIP]
    assert moved_loss(mirror, swapped, taught, [1.0] * 3) < 0.02
    assert moved_loss(mirror, mirrored, taught, [1.0] * 3) > 0.5
    # The confidence follows its point: here only the first point of the plain view is trusted.
    wrong_elsewhere = [swapped[1], swapped[1], swapped[0]]
    assert moved_loss(mirror, wrong_elsewhere, taught, [1.0, 0.0, 0.0]) < 0.02


def test_little_confidence_makes_the_loss_small():
    taught, found = [[0.3, 0.4]] * 3, [[0.7, 0.4]] * 3
    same = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    sure, unsure = (moved_loss(same, found, taught, [value] * 3) for value in (1.0, 0.1))
    assert unsure == pytest.approx(0.1 * sure, rel=1e-4)
    assert moved_loss(same, found, taught, [0.0] * 3) == 0


def test_the_weight_grows_over_the_warm_up():
    assert [ramp(progress, 0.4) for progress in (0, 0.2, 0.4, 1)] == pytest.approx([0, 0.5, 1, 1])
    assert ramp(0, 0) == 1


def test_every_ear_without_labels_has_its_turn_and_its_warp_fits(folder):
    labelled = LabelledViews(EarCrops(read_manifest(folder / "train.npy"), SIDE_PX), passes=2)
    views = beside(labelled, folder)
    assert len(views) == 20
    first, later = views[(0, 3)], views[(1, 3)]
    torch.testing.assert_close(first["plain"], later["plain"])  # 20 views an epoch, 10 ears: the same ear
    assert not torch.equal(first["moved"], later["moved"])
    seen = {views[(0, index)]["plain"].numpy().tobytes() for index in range(20)}
    assert len(seen) == 10


def test_the_warp_between_the_views_is_the_one_they_were_drawn_with(folder):
    labelled = LabelledViews(EarCrops(read_manifest(folder / "train.npy"), SIDE_PX))
    unlit = PhotometryConfig(light=0, noise=0, blur=0, occlusion=0, jpeg=0)
    views = beside(labelled, folder, photometry=unlit)
    for index in range(10):
        item = views[(0, index)]
        plain, moved = (item[name].permute(1, 2, 0).numpy().astype(float) for name in ("plain", "moved"))
        warped = crops.crop(plain.astype(np.uint8), item["to_moved"].numpy(), SIDE_PX)
        middle = (slice(SIDE_PX // 4, -SIDE_PX // 4),) * 2  # of the rest some lies outside the plain view
        assert abs(warped - moved)[middle].mean() < 0.25 * abs(plain - moved)[middle].mean()


def test_a_training_with_ears_without_labels(folder, tmp_path):
    from teacher.models.detector import EarDetector

    main(config(folder, tmp_path, labels=6))
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["train/consistency"]) > 0 for row in rows)
    weights = [
        EarDetector.load_from_checkpoint(tmp_path / name).state_dict()["heatmaps.to_maps.1.weight"]
        for name in ("best.ckpt", "last.ckpt")
    ]
    assert not torch.equal(*weights)  # the averaged ones are what is kept, the others what goes on


def test_a_resumed_training_ends_as_an_uninterrupted_one(folder, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    main(config(folder, whole))
    main(config(folder, cut, epochs=1))
    last = torch.load(whole / "last.ckpt", weights_only=True)["state_dict"]
    assert any(name.startswith("averaged.") for name in last)
    main(config(folder, cut, resume="auto"))
    resumed = torch.load(cut / "last.ckpt", weights_only=True)["state_dict"]
    assert resumed.keys() == last.keys()


def test_pseudo_labels_teach_at_first_and_half_in_the_end():
    own, confidence = torch.tensor([[[0.2, 0.2], [0.6, 0.4]]]), torch.tensor([[0.5, 1.0]])
    plain = torch.zeros(1, 3, SIDE_PX, SIDE_PX)
    points, weight = points_to_find(own, confidence, {"plain": plain}, 0.5)
    assert torch.equal(points, own)
    assert weight.tolist() == [[0.25, 0.5]]
    pseudo = torch.tensor([[[0.4, 0.2], [0.5, 0.5]]])
    batch = {"plain": plain, "pseudo_px": pseudo * SIDE_PX - 0.5, "pseudo_visibility": torch.tensor([[2, 0]])}
    points, weight = points_to_find(own, confidence, batch, 0.0)
    torch.testing.assert_close(points[0, 0], pseudo[0, 0])
    assert weight.tolist() == [[1.0, 0.0]]  # the second point has no pseudo-label
    points, weight = points_to_find(own, confidence, batch, 1.0)
    torch.testing.assert_close(points[0], torch.tensor([[0.4 - 0.2 * 0.25 / 0.75, 0.2], [0.6, 0.4]]))
    torch.testing.assert_close(weight, torch.tensor([[0.75, 0.5]]))


def test_a_training_with_pseudo_labels(folder, tmp_path):
    with_labels = {"unlabelled_npy": None, "pseudo_labelled_npy": folder / "unlabelled.npy"}
    main(config(folder, tmp_path, labels=6, epochs=1, **with_labels))
    with (tmp_path / "metrics.csv").open() as file:
        assert float(next(csv.DictReader(file))["train/consistency"]) > 0
    with pytest.raises(UserError, match="give one"):
        config(folder, tmp_path, pseudo_labelled_npy=folder / "unlabelled.npy")


def test_ears_without_labels_need_averaged_weights(folder, tmp_path):
    with pytest.raises(UserError, match="ema_decay"):
        config(folder, tmp_path, ema_decay=0.0)
