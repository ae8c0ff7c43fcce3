"""The staged teacher: what either stage is told, what the second takes over, where a resumed one goes on."""

import pytest
import torch

from configs.errors import UserError
from teacher.models.registry import load_model
from teacher.vae_training import staged
from tests.drawn_ears import draw_ears
from tests.test_every_teacher import train_teacher
from tests.tiny_backbones import TINY_BACKBONES


@pytest.fixture(scope="module")
def ears(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ears")
    draw_ears(folder, "train", photographs=6, seed=0)
    draw_ears(folder, "val", photographs=3, seed=1)
    return folder


def config(folder, **changes):
    from teacher.train import Config

    return Config(train_npy=folder, val_npy=folder, output_dir=folder, backbone="staged", **changes)


def test_epochs_and_minutes_are_shared(tmp_path):
    given = {"first": "resnet50", "first_share": 0.25, "then_options": {"input_size": 256}}
    first, then = staged.stage_configs(
        config(
            tmp_path, backbone_options=given, epochs=8, max_minutes=20.0, weights="sam.pth", freeze_layers=3
        )
    )
    assert (first.backbone, first.epochs, first.max_minutes, first.weights) == ("resnet50", 2, 5.0, "")
    assert (then.backbone, then.epochs, then.max_minutes, then.weights) == ("sam", 6, 15.0, "sam.pth")
    assert (first.freeze_layers, then.freeze_layers) == (None, 3)
    assert then.backbone_options == {"input_size": 256}
    assert then.carry_over == str(tmp_path / "first" / "best.ckpt")
    short = staged.stage_configs(config(tmp_path, backbone_options={"first_share": 0.01}, epochs=2))
    assert [stage.epochs for stage in short] == [1, 1]


def test_a_resumed_one_goes_on_in_the_stage_where_it_was(tmp_path):
    def stages_trained(**changes):
        trained = []
        staged.train_staged(config(tmp_path, **changes), lambda stage: trained.append(stage.backbone))
        return trained

    (tmp_path / "first").mkdir()
    assert stages_trained(resume="auto") == ["mobilenetv3", "sam"]
    (tmp_path / "first" / "metrics.json").write_text("{}")  # the first is finished
    assert stages_trained(resume="auto") == ["sam"]
    assert stages_trained() == ["mobilenetv3", "sam"]
    (tmp_path / "last.ckpt").write_text("")
    assert stages_trained(resume="auto") == ["sam"]
    assert stages_trained(resume=str(tmp_path / "last.ckpt")) == ["sam"]


def test_the_decoder_of_the_first_stage_is_that_of_the_second(ears, tmp_path):
    folder = train_teacher("staged", ears, tmp_path, lr=0.0)
    first, then = (load_model(path / "best.ckpt", "EarVAE") for path in (folder / "first", folder))
    assert (first.hparams["backbone"], then.hparams["backbone"]) == ("mobilenetv3", "sam")
    for (key, value), given in zip(then.decoder.named_parameters(), first.decoder.parameters(), strict=True):
        assert torch.equal(value, given), key
    assert then.hparams["backbone_options"] == TINY_BACKBONES["sam"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone_options": {"frist": "resnet50"}}, "Did you mean 'first'"),
        ({"backbone_options": {"first_share": 1.0}}, "above 0 and below 1"),
        ({"epochs": 1}, "at least 2"),
    ],
)
def test_stages_that_make_no_sense(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        staged.stage_configs(config(tmp_path, **changes))
