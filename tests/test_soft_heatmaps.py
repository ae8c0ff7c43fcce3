"""Soft heatmaps: the divergence against a loop, what was not seen has no gradient, and a whole training."""

import math

import pytest
import torch

from configs.build import configured, with_options
from configs.errors import UserError
from configs.reading.content import read_json
from data.tensors import to_signed
from distill import cache
from distill.student.map_matching import HeatmapMatcher
from distill.teacher_maps import acceptance
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.numbered_crops import CropNumbering, NumberedCrops, read_ears
from distill.teacher_maps.store import KeptMaps
from distill.train import Config, main
from teacher.checkpoint import save_weights
from teacher.models.detector import EarDetector
from tests.drawn_ears import draw_ears
from tests.test_distill_train import training_data
from tests.tiny_teacher import tiny_vae

ALL_SEEN = torch.ones(2, 1, 4, 4)


def _heatmaps(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def _probabilities(logits: torch.Tensor) -> torch.Tensor:
    return logits.flatten(2).softmax(dim=-1).reshape(logits.shape)


def test_the_divergence_by_a_loop():
    student, teacher = _heatmaps(0), _probabilities(_heatmaps(1))
    by_hand = 0.0
    for image in range(2):
        for point in range(3):
            q = _probabilities(student)[image, point].flatten().tolist()
            p = teacher[image, point].flatten().tolist()
            by_hand += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 6
    loss, parts = HeatmapMatcher()(student, teacher, ALL_SEEN)
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)
    assert parts == {"heatmaps": loss}
    assert HeatmapMatcher()(student, 5 * _probabilities(student), ALL_SEEN)[0].item() == pytest.approx(
        0, abs=1e-6
    )


def test_cells_that_the_student_did_not_see_have_no_gradient():
    student, teacher, seen = _heatmaps(0).requires_grad_(), _probabilities(_heatmaps(1)), ALL_SEEN.clone()
    seen[:, :, 2:] = 0
    teacher[1, 2] = 0
    teacher[1, 2, 3, 3] = 1  # this point lies where the student saw nothing
    loss, _ = HeatmapMatcher()(student, teacher, seen)
    loss.backward()
    assert (student.grad[:, :, 2:] == 0).all()
    assert (student.grad[1, 2] == 0).all()
    assert (student.grad[0, :, :2] != 0).all()
    elsewhere = teacher.clone()
    elsewhere[:, :, 2:] *= torch.rand(2, 4)  # moves the points' weights, not where they lie
    one_point = HeatmapMatcher()(student[:1, :1], teacher[:1, :1], seen[:1])[0]
    assert one_point.item() == pytest.approx(
        HeatmapMatcher()(student[:1, :1], elsewhere[:1, :1], seen[:1])[0].item(), rel=1e-5
    )


@pytest.fixture(autouse=True)
def any_labeller_is_admitted(monkeypatch):
    monkeypatch.setattr(acceptance, "ACCEPTANCE_NME", 9.0)


@pytest.fixture(scope="module")
def ears(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ears")
    torch.manual_seed(1)
    detector = EarDetector.from_vae(tiny_vae(), width=16, heatmap_cells=16, stem_channels=8)
    save_weights(folder / "detector.ckpt", detector, "EarDetector")
    save_weights(folder / "vae.ckpt", tiny_vae(), "EarVAE")
    draw_ears(folder, "train", photographs=5, seed=0)
    draw_ears(folder, "val", photographs=3, seed=1)
    return folder


def _cache(ears, output_dir, **changes):
    values = {
        "checkpoint": ears / "detector.ckpt", "ear_detector": ears / "detector.ckpt",
        "acceptance_npy": ears / "val.npy", "train_npy": ears / "train.npy", "layer": "heatmaps", "grid": 16,
        "views": 2, "num_workers": 0, "output_dir": output_dir,
    }  # fmt: skip
    return configured(cache.Config, **{**values, **changes})


def test_kept_heatmaps_say_where_the_ear_detector_reads_its_points(ears, tmp_path):
    kept = KeptMaps(cache.main(_cache(ears, tmp_path)))
    assert (kept.channels, kept.grid) == (17, 16)
    heatmaps = torch.from_numpy(kept.read(2, 0).astype("float32"))
    assert torch.allclose(heatmaps.sum(dim=(1, 2)), torch.ones(17), atol=2e-3)
    view = NumberedCrops(read_ears(ears / "train.npy"), CropNumbering()).clean(2, 0)
    teacher = FrozenTeacher.load(ears / "detector.ckpt")
    logits = teacher.read(to_signed(view[None])).point_heatmaps[0]
    margin = (logits.shape[-1] - 16) // 2
    inside = logits[:, margin : margin + 16, margin : margin + 16]
    assert torch.allclose(heatmaps, _probabilities(inside[None])[0], atol=1e-3)


def test_heatmaps_are_predictions_and_need_an_admitted_labeller(ears, tmp_path, monkeypatch):
    refused = ({}, {"ear_detector": None}, {"checkpoint": ears / "vae.ckpt"})
    for number, changes in enumerate(refused):
        monkeypatch.setattr(acceptance, "ACCEPTANCE_NME", 9.0 if changes else 1e-6)
        with pytest.raises(UserError, match=r"admitted labeller|an EarVAE reads|reads no points"):
            cache.main(_cache(ears, tmp_path / str(number), **changes))
        assert not (tmp_path / str(number)).exists()


def test_a_landmarker_learns_from_them_and_a_detector_cannot(ears, tmp_path):
    maps = cache.main(_cache(ears, tmp_path / "maps"))
    config = configured(
        Config, student="landmarker", train_npy=ears / "train.npy", labelled_npy=ears / "train.npy", labels=3,
        val_npy=ears / "val.npy", maps=maps, output_dir=tmp_path / "student", steps=4, rounds=2, batch_size=4,
        student_options={"trunk": "mobilenetv4_conv_small_035", "width": 8}, num_workers=0,
    )  # fmt: skip
    alone = with_options(config, prediction_weight=0.0)  # heatmaps are targets too, without the points
    assert len(training_data(alone, 128).batches[0]["points_px"]) < 4
    folder = main(config)
    assert "train/map_heatmaps" in (folder / "metrics.csv").read_text()
    assert read_json(folder / "metrics.json")["teacher"]["layer"] == "heatmaps"
    assert main(with_options(config, resume="auto")) == folder
    detector = configured(
        Config, student="detector", train_npy=ears / "train.npy", val_npy=ears / "val.npy", maps=maps,
        output_dir=tmp_path / "detector", steps=2, rounds=1, batch_size=2, num_workers=0,
    )  # fmt: skip
    with pytest.raises(UserError, match="keeps heatmaps, and a detector has none"):
        main(detector)
