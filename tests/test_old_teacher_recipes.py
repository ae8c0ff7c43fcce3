"""Options that the teacher's commands had once: a recipe with them loads, or says what became of them."""

from pathlib import Path

import pytest

from configs.build import configured
from configs.errors import UserError
from teacher import check, embed, evaluate, finetune, train
from teacher.models.sizes import FusionSizes

TRAIN = {"train_npy": "a.npy", "val_npy": "v.npy"}
FINETUNE = {"checkpoint": "c.ckpt", "train_npy": "a.npy"}


def test_what_was_renamed_is_found_under_its_new_name():
    found = configured(
        train.Config,
        **TRAIN,
        more_train_npy=["b.npy"],
        carry_over="cheap.ckpt",
        sam_input_size=512,
        backbone_options={"patch_size": 16},
    )
    assert found.train_npy == (Path("a.npy"), Path("b.npy"))
    assert found.init_checkpoint == "cheap.ckpt"
    assert found.encoder.backbone_options == {"patch_size": 16, "input_size": 512}
    sizes = configured(finetune.Config, **FINETUNE, width=16, heatmap_cells=8).model.fusion
    assert sizes == FusionSizes(width=16, cells=8, stem_channels=32)
    assert configured(check.Config, latent_dim=8, decoder="residual").model.latent_dim == 8


def test_what_is_constant_now_may_be_said_and_not_changed():
    constant = {"weight_decay": "5e-2", "l1_weight": 1, "matching_map": "fused", "logvar_start": -6}
    assert configured(train.Config, **TRAIN, **constant, num_nodes=2).epochs == 60
    assert configured(finetune.Config, **FINETUNE, points_weight=1.0, decoder_maps=False).epochs == 30
    for command, given, changed in (
        (train, TRAIN, {"gradient_clip": 5.0}),
        (train, TRAIN, {"second_geometry": {"flip": 0.0}}),
        (finetune, FINETUNE, {"background_share": 0.5}),
        (finetune, FINETUNE, {"max_minutes": 5.0}),
        (embed, {"checkpoint": "c.ckpt", "images": "crops"}, {"mirror": False}),
    ):
        (name,) = changed
        with pytest.raises(UserError, match=f"{name} .* for good now"):
            configured(command.Config, **given, **changed)


def test_what_changes_no_result_is_passed_over_and_what_did_is_refused():
    given = {"checkpoint": "c.ckpt", "npy": "a.npy"}
    assert configured(evaluate.Config, **given, batch_size=8, num_workers=4).npy == Path("a.npy")
    with pytest.raises(UserError, match=r"data\.prepare --scheme"):
        configured(finetune.Config, **FINETUNE, scheme="points.yaml")
