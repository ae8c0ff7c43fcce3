"""distill.train with tiny nets: twins, resume, what the checkpoint holds, and refusals."""

import pytest
import torch

from configs.build import configured, with_options
from configs.errors import UserError
from configs.reading.content import read_json
from data.manifest import read_manifest
from distill import cache
from distill.student.detector_data import detector_data
from distill.student.fit import build_module
from distill.student.landmarker_data import landmarker_data
from distill.student.plan import BatchMix, batch_mix, plan_steps
from distill.teacher_maps import acceptance
from distill.train import Config, main
from students.models.checkpoint import build_student, load_student
from teacher import finetune
from teacher.checkpoint import save_weights
from teacher.models.detector import EarDetector
from tests.drawn_ears import draw_ears
from tests.tiny_teacher import tiny_vae

SMALL = {"trunk": "mobilenetv4_conv_small_035", "width": 8}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Crops, frames, and the maps of both; the labeller is admitted whatever it scores."""
    folder = tmp_path_factory.mktemp("kept")
    draw_ears(folder, "crops", photographs=6, seed=0)
    draw_ears(folder, "val", photographs=4, seed=1)
    draw_ears(folder, "frames", photographs=4, seed=2, ears_each=2)
    save_weights(folder / "vae.ckpt", tiny_vae(), "EarVAE")
    detector = EarDetector.from_vae(tiny_vae(), width=16, heatmap_cells=16, stem_channels=8)
    save_weights(folder / "detector.ckpt", detector, "EarDetector")
    common = {"checkpoint": folder / "vae.ckpt", "grid": 4, "num_workers": 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceptance, "ACCEPTANCE_NME", 9.0)
        cache.main(
            configured(
                cache.Config, train_npy=folder / "crops.npy", output_dir=folder / "maps", views=3,
                ear_detector=folder / "detector.ckpt", acceptance_npy=folder / "val.npy", **common,
            )
        )  # fmt: skip
    frames = {"train_npy": folder / "frames.npy", "output_dir": folder / "frame_maps", "views": 2}
    cache.main(configured(cache.Config, **frames, **common))
    return folder


def _landmarker(folder, output_dir, **changes):
    values = {
        "student": "landmarker", "train_npy": folder / "crops.npy", "labelled_npy": folder / "crops.npy",
        "labels": 4, "val_npy": folder / "val.npy", "maps": folder / "maps", "output_dir": output_dir,
        "student_options": SMALL, "steps": 6, "rounds": 2, "batch_size": 4, "warmup_steps": 2,
        "num_workers": 0,
    }  # fmt: skip
    return configured(Config, **{**values, **changes})


def _detector(folder, output_dir, **changes):
    values = {
        "student": "detector", "train_npy": folder / "frames.npy", "val_npy": folder / "frames.npy",
        "maps": folder / "frame_maps", "output_dir": output_dir,
        "student_options": {"trunk": "mobilenetv3_small_050", "width": 8, "image_px": 160},
        "steps": 4, "rounds": 2, "batch_size": 3, "warmup_steps": 2, "num_workers": 0,
    }  # fmt: skip
    return configured(Config, **{**values, **changes})


def training_data(config, image_px):
    build = landmarker_data if config.student == "landmarker" else detector_data
    groups = (config.labels, config.distillation, config.batch, config.augmentation)
    return build(config.train_npy, image_px, *groups, 1, config.trainer.num_workers, config.trainer.seed)


def test_the_landmarker_trains_and_writes_what_later_stages_take(kept, tmp_path, capsys):
    folder = main(_landmarker(kept, tmp_path, loss_weights={"cosine": 0.9, "smooth_l1": 0.1, "masked": 0.1}))
    assert "of them are trusted and used" in capsys.readouterr().out
    metrics = read_json(folder / "metrics.json")
    assert metrics["nme"] > 0
    assert (metrics["steps"], metrics["images"], metrics["labels"]) == (6, 24, 4)
    assert metrics["teacher"]["layer"] == "feat1"
    assert metrics["teacher"]["gate"]["admitted"] is True
    for name in ("last.ckpt", "predictions.png", "run.yaml", "tensorboard"):
        assert (folder / name).exists()
    header = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    logged = ("label", "map", "map_cosine", "map_masked", "prediction")
    assert {f"train/{name}" for name in logged} < set(header)
    assert load_student(folder / "student.pt", "landmarker").hparams["width"] == 8


def test_the_detector_trains_and_a_part_of_the_frames_may_be_labelled(kept, tmp_path):
    metrics = read_json(main(_detector(kept, tmp_path / "all")) / "metrics.json")
    assert 0 <= metrics["ap50"] <= 1
    assert (metrics["labels"], metrics["empty_frames"]) == (5, 1)  # four photographs with ears, one without
    assert "train/map_cosine" in (tmp_path / "all" / "metrics.csv").read_text()
    metrics = read_json(main(_detector(kept, tmp_path / "some", labels=2)) / "metrics.json")
    assert metrics["labels"] == 3
    assert (tmp_path / "some" / "predictions.png").is_file()


def test_a_detector_learns_from_frames_that_another_labelled(kept, tmp_path):
    pseudo = {"pseudo_labelled_npy": kept / "frames.npy", "maps": None, "labels": 2}
    folder = main(_detector(kept, tmp_path / "pseudo", **pseudo))
    metrics = read_json(folder / "metrics.json")
    assert (metrics["labels"], metrics["told"]) == (3, 2)  # those that are labelled themselves are left out
    assert "train/prediction" in (folder / "metrics.csv").read_text()
    assert read_json(main(_detector(kept, folder, resume="auto", **pseudo)) / "metrics.json") == metrics
    both = read_json(
        main(_detector(kept, tmp_path / "both", **pseudo | {"maps": kept / "frame_maps"})) / "metrics.json"
    )
    assert (both["told"], both["teacher"]["layer"]) == (2, "feat1")
    every = read_json(main(_detector(kept, tmp_path / "every", **pseudo | {"labels": 0})) / "metrics.json")
    assert "told" not in every  # all have labels: nothing is left to pseudo-label


def test_a_landmarker_learns_from_ears_that_another_labelled(kept, tmp_path, capsys):
    told = {"pseudo_labelled_npy": kept / "val.npy", "labels": 2}
    folder = main(_landmarker(kept, tmp_path, maps=None, **told))
    metrics = read_json(folder / "metrics.json")
    assert metrics["told"] == len(read_manifest(kept / "val.npy"))
    assert "train/prediction" in (folder / "metrics.csv").read_text()
    assert "ears labelled by a landmarker" in capsys.readouterr().out
    with pytest.raises(UserError, match="the landmarker takes one of them"):
        main(_landmarker(kept, tmp_path, **told))


def test_students_train_in_bf16(kept, tmp_path):
    assert read_json(main(_landmarker(kept, tmp_path, precision="bf16-mixed")) / "metrics.json")["nme"] > 0


def test_nothing_of_teacher_or_adapter_is_in_the_students_file(kept, tmp_path):
    folder = main(_landmarker(kept, tmp_path))
    plain = build_student("landmarker", SMALL)
    content = torch.load(folder / "student.pt", weights_only=True)
    assert set(content["state_dict"]) == set(plain.state_dict())
    training = torch.load(folder / "last.ckpt", weights_only=True)
    parts = {key.split(".")[0] for key in training["state_dict"]}
    assert parts == {"student", "matcher", "averaged"}  # and no teacher in the training's own checkpoint


def test_the_twin_differs_in_nothing_but_the_teacher(kept, tmp_path):
    runs = {}
    for name, distill in (("student", True), ("twin", False)):
        config = _landmarker(kept, tmp_path / name, distill=distill, lr=0.0)
        runs[name] = main(config)
    metrics = {name: read_json(folder / "metrics.json") for name, folder in runs.items()}
    for key in ("steps", "images", "labels", "held_out"):
        assert metrics["student"][key] == metrics["twin"][key]
    assert metrics["twin"]["teacher"] is None
    weights = [torch.load(folder / "last.ckpt", weights_only=True)["state_dict"] for folder in runs.values()]
    names = [name for name in weights[0] if name.startswith("student.") and "running_" not in name]
    # With a learning rate of 0 the weights are still those of the start.
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in names)
    assert not any(name.startswith("matcher") for name in weights[1])


def test_training_goes_on_from_another_student(kept, tmp_path):
    first = main(_landmarker(kept, tmp_path / "first", distill=False)) / "student.pt"
    still = {"init_checkpoint": first, "lr": 0.0, "distill": False, "student_options": {}}
    second = main(_landmarker(kept, tmp_path / "second", **still)) / "last.ckpt"
    expected = load_student(first).state_dict()
    assert read_json(second.with_name("metrics.json"))["start"] == str(first)
    found = torch.load(second, weights_only=True)["state_dict"]
    trained = [name for name in expected if "running_" not in name and "num_batches" not in name]
    assert all(torch.equal(found[f"student.{name}"], expected[name]) for name in trained)
    with pytest.raises(UserError, match=r"its width is 8, wanted is 16"):
        main(_landmarker(kept, tmp_path / "third", init_checkpoint=first, student_options={"width": 16}))
    with pytest.raises(UserError, match=r"holds a landmarker, but a detector is wanted"):
        main(_detector(kept, tmp_path / "fourth", init_checkpoint=first))


def test_a_twins_batch_is_as_large_and_all_of_it_labelled(kept, tmp_path):
    twin = training_data(_landmarker(kept, tmp_path, distill=False, maps=None), 128).batches[0]
    assert set(twin) == {"image", "points_px", "visibility"}
    assert len(twin["image"]) == len(twin["points_px"]) == 4
    student = training_data(_landmarker(kept, tmp_path, labels=2), 128).batches[0]
    assert len(student["image"]) == 4
    assert len(student["points_px"]) == 2
    assert len(student["predicted_px"]) == 2
    assert len(student["maps"]) == 4  # the labelled crops are among those whose maps were kept
    many = training_data(_landmarker(kept, tmp_path, labels=4), 128).batches[0]
    assert len(many["points_px"]) == 3  # of 4: as large a part of the batch as of the 6 crops, rounded
    strangers = _landmarker(kept, tmp_path, labels=4, labelled_npy=kept / "val.npy")
    others = training_data(strangers, 128).batches[0]
    assert len(others["points_px"]) == len(others["predicted_px"]) == 2  # labels of others crowd out none


def test_maps_alone_take_no_labelled_crops_place(kept, tmp_path):
    config = _landmarker(kept, tmp_path, labels=2, prediction_weight=0.0)
    batch = training_data(config, 128).batches[0]
    assert set(batch) == {"image", "points_px", "visibility", "maps", "map_matrix"}
    assert len(batch["image"]) == len(batch["points_px"]) == len(batch["maps"]) == 4
    strangers = with_options(config, labelled_npy=kept / "val.npy")  # without maps of their own
    batch = training_data(strangers, 128).batches[0]
    assert len(batch["image"]) == 4
    assert len(batch["points_px"]) == len(batch["maps"]) == 2


def test_maps_alone_take_no_labelled_frames_place(kept, tmp_path):
    batches = training_data(_detector(kept, tmp_path, labels=2), 160).batches
    assert all(len(batches[step]["boxes_xyxy"]) == 3 for step in range(5))
    assert any(len(batches[step].get("maps", ())) for step in range(5))
    strangers = _detector(kept, tmp_path, labelled_npy=kept / "val.npy")
    assert len(training_data(strangers, 160).batches[0]["boxes_xyxy"]) == 2


@pytest.mark.parametrize("arm", [{"prediction_weight": 0.0}, {"map_weight": 0.0}, {}])
def test_arms_of_one_seed_are_paired(kept, tmp_path, arm):
    """Twin against maps, predictions, both: first weights, labels and their order, images counted."""
    twin_config = _landmarker(kept, tmp_path, distill=False, maps=None, seed=3)
    config = _landmarker(kept, tmp_path, seed=3, **arm)
    twin, other = (training_data(each, 128).batches for each in (twin_config, config))
    chosen = [batches.labelled.manifest.boxes_xyxy.tolist() for batches in (twin, other)]
    assert chosen[0] == chosen[1]
    another = training_data(with_options(twin_config, seed=4), 128).batches
    assert another.labelled.manifest.boxes_xyxy.tolist() != chosen[0]  # the seed chooses the labels
    order = [[batches._labelled_order(position) for position in range(20)] for batches in (twin, other)]
    assert order[0] == order[1]
    assert len(twin[0]["image"]) == len(other[0]["image"]) == config.batch.batch_size


def test_the_ear_detectors_twin_differs_in_the_encoder_alone(kept, tmp_path):
    """With a learning rate of 0: the head's first weights are the same, the encoder's are not."""
    heads, encoders = [], []
    for from_scratch in (False, True):
        folder = finetune.main(
            configured(
                finetune.Config, checkpoint=kept / "vae.ckpt", train_npy=kept / "crops.npy",
                val_npy=kept / "val.npy", output_dir=tmp_path / str(from_scratch), labels=4,
                from_scratch=from_scratch, steps=1, min_steps_per_epoch=1, batch_size=2, lr=0.0,
                fusion={"width": 16, "cells": 16, "stem_channels": 8}, num_workers=0, seed=3,
            )
        )  # fmt: skip
        state = torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]
        trained = {key: value for key, value in state.items() if "running" not in key and "num_b" not in key}
        heads.append({key: value for key, value in trained.items() if ".encoder." not in key})
        encoders.append({key: value for key, value in trained.items() if ".encoder." in key})
    assert heads[0]
    assert all(torch.equal(heads[0][key], heads[1][key]) for key in heads[0])
    assert not all(torch.equal(encoders[0][key], encoders[1][key]) for key in encoders[0])


@pytest.mark.trains
def test_a_resumed_training_ends_as_the_uninterrupted_one(kept, tmp_path, monkeypatch):
    """With workers, which ask for their first batches before Lightning tells the round."""
    whole = main(_landmarker(kept, tmp_path / "whole", num_workers=1))
    from pytorch_lightning import Trainer

    original = Trainer.__init__
    monkeypatch.setattr(
        Trainer, "__init__", lambda self, *a, **kw: original(self, *a, **{**kw, "max_epochs": 1})
    )
    main(_landmarker(kept, tmp_path / "cut", num_workers=1))  # ends after the first of two rounds
    monkeypatch.undo()
    resumed = main(_landmarker(kept, tmp_path / "cut", resume="auto", num_workers=1))
    ends = [torch.load(folder / "last.ckpt", weights_only=True) for folder in (whole, resumed)]
    assert ends[0]["global_step"] == ends[1]["global_step"] == 6
    for key, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][key]), key
    assert (whole / "metrics.csv").read_text() == (resumed / "metrics.csv").read_text()


def test_a_checkpoint_of_another_training_is_refused(kept, tmp_path):
    folder = main(_landmarker(kept, tmp_path, distill=False))
    with pytest.raises(UserError, match="was trained on something else: maps none -> feat1 of [0-9a-f]{12}"):
        main(_landmarker(kept, tmp_path, resume="auto"))
    with pytest.raises(UserError, match="no such checkpoint"):
        main(_landmarker(kept, tmp_path, resume=str(tmp_path / "nothing.ckpt")))
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    with pytest.raises(UserError, match="is no checkpoint"):
        main(_landmarker(kept, tmp_path, resume=str(tmp_path / "text.ckpt")))
    assert (folder / "student.pt").is_file()


def test_maps_that_do_not_fit_are_refused_before_training(kept, tmp_path):
    with pytest.raises(UserError, match="no-distill"):
        main(_landmarker(kept, tmp_path, maps=None))
    with pytest.raises(UserError, match="do not belong to the ears of train_npy"):
        main(_landmarker(kept, tmp_path, maps=kept / "frame_maps"))
    with pytest.raises(UserError, match="crops of 128 px, the student takes 64"):
        main(_landmarker(kept, tmp_path, student_options={**SMALL, "image_px": 64}))
    with pytest.raises(UserError, match="Did you mean 'cosine'"):
        main(_landmarker(kept, tmp_path, loss_weights={"cosin": 1.0}))
    with pytest.raises(UserError, match="labels"):
        main(_detector(kept, tmp_path, labels=50))
    assert not (tmp_path / "last.ckpt").exists()


def test_steps_are_planned_in_whole_rounds():
    assert plan_steps(steps=100, rounds=8) == (8, 12)
    assert plan_steps(steps=40, rounds=4) == (4, 10)
    assert plan_steps(steps=3, rounds=8) == (3, 1)


def test_the_rule_of_a_batch():
    twin = batch_mix(32, 0.25, others_have_targets=False)
    assert (twin.labelled, twin.others) == (32, 0) and str(twin) == "all labelled"
    points = {"others_have_targets": True, "others_have_maps": True}
    assert batch_mix(32, 0.25, **points) == BatchMix(8, 24)
    assert batch_mix(32, 0.25, **points, labelled_have_maps=True, labelled_part=0.5) == BatchMix(16, 16)
    assert batch_mix(32, 0.25, **points, labelled_have_maps=True, labelled_part=0.1) == BatchMix(8, 24)
    maps = {"others_have_targets": False, "others_have_maps": True}
    assert batch_mix(32, 0.25, **maps, labelled_have_maps=True) == BatchMix(32, 0)
    assert batch_mix(32, 0.25, **maps) == BatchMix(8, 24)
    for share, labelled in ((0.0, 1), (1.0, 31)):  # at least one of each
        assert batch_mix(32, share, **points).labelled == labelled
    assert batch_mix(32, 0.3, **points, processes=4) == BatchMix(8, 24)  # 9.6, and four processes deal it out
    assert str(batch_mix(32, 0.25, **points)) == "8 labelled and 24 others"
    for size, processes in ((9, 2), (2, 2), (1, 1)):
        with pytest.raises(UserError, match="processes share a batch"):
            batch_mix(size, 0.5, others_have_targets=False, processes=processes)


def test_the_plan_says_what_a_batch_is_made_of(kept, tmp_path, capsys):
    main(_landmarker(kept, tmp_path / "student", labels=2))
    assert "6 steps of 4 images, 2 labelled and 2 others; 24 images" in capsys.readouterr().out
    main(_landmarker(kept, tmp_path / "twin", distill=False))
    assert "6 steps of 4 images, all labelled; 24 images" in capsys.readouterr().out


def test_what_became_of_options_that_are_gone(kept, tmp_path):
    config = _landmarker(kept, tmp_path, weight_decay=0.05, more_train_npy=[kept / "val.npy"])
    assert config.train_npy == (kept / "crops.npy", kept / "val.npy")
    with pytest.raises(UserError, match="labelled_last is gone: batches labelled alone at the end"):
        _landmarker(kept, tmp_path, labelled_last=0.2)
    old = _detector(kept, tmp_path, maps=None, sure_from=0.6).distillation
    assert old.ignored_below == 0.6


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"labels": 2.5}, "labels"), ({"batch_size": 1}, "batch_size"), ({"fade": 1.5}, "fade")],
)
def test_senseless_numbers_are_refused(kept, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        _landmarker(kept, tmp_path, **changes)


def test_averaged_weights_follow_the_average_by_hand(kept, tmp_path):
    config = _landmarker(kept, tmp_path, ema_decay=0.5, distill=False)
    student = build_student("landmarker", SMALL)
    module = build_module(student, None, 6, config.optimization, config.distillation, config.map_loss)
    name = "heatmap.bias"
    wanted = None
    for update in range(1, 6):
        with torch.no_grad():
            dict(student.named_parameters())[name].fill_(float(update**2))
        module.averaged.update_parameters(student)
        decay = min(0.5, (1 + (update - 1)) / (10 + (update - 1)))
        wanted = float(update**2) if wanted is None else decay * wanted + (1 - decay) * update**2
    assert dict(module.best_model.named_parameters())[name][0].item() == pytest.approx(wanted, rel=1e-5)
    assert not any(parameter.requires_grad for parameter in module.averaged.parameters())
    never = with_options(config, ema_decay=0).optimization
    module = build_module(student, None, 6, never, config.distillation, config.map_loss)
    assert module.best_model is student
