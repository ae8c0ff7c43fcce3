"""teacher.check: its lines for sound and broken teachers, what it counts, what it lists."""

import json

import pytest
import torch

from configs.build import configured
from configs.errors import UserError
from teacher import check
from teacher.checking import checks, subject
from teacher.checking.checks import FAIL, PASS, WARN
from teacher.models.cost import StepCost, memory_limit_mb, multiply_adds, parameter_counts, step_cost
from tests.tiny_backbones import TINY_BACKBONES, TINY_MARGIN, TINY_SEVERAL
from tests.tiny_teacher import TINY_VAE, tiny_vae

SIZES = {key: TINY_VAE[key] for key in check.SIZES}


def config(name, **changes):
    options = {**TINY_BACKBONES, **TINY_SEVERAL}.get(name)
    given = {
        "backbone": name,
        "backbone_options": options,
        "pretrained": False,
        "batch_sizes": (1, 2),
        "model": SIZES,
    }
    if name == "margin":
        given["backbone_options"] = TINY_MARGIN["backbone_options"]
        given["model"] = {**SIZES, **{key: TINY_MARGIN[key] for key in ("decoder_channels", "image_size")}}
    return configured(check.Config, **{**given, **changes})


@pytest.mark.parametrize("name", ["sam", "resnet50", "hybrid", "staged", "margin"])
def test_a_sound_teacher_passes(name, tmp_path, capsys):
    check.main(config(name, output_dir=tmp_path))
    first, *lines = capsys.readouterr().out.splitlines()
    verdicts = [line.split()[0] for line in lines if line[:4] in (PASS, WARN, FAIL)]
    assert verdicts == [PASS] * 5, lines
    assert lines[-1] == "the largest batch tried that fits: 2"
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert f"{metrics['parameters']['total']:,} total" in first
    assert [cost["batch_size"] for cost in metrics["batches"]] == [1, 2]
    assert all(cost["images_per_s"] > 0 and cost["peak_mb"] > 10 for cost in metrics["batches"])


def test_parameters_are_counted_frozen_and_not():
    counts = parameter_counts(tiny_vae(freeze_layers=1))
    backbone = tiny_vae(freeze_layers=1).encoder.backbone
    frozen = sum(p.numel() for part in (*backbone.stem(), backbone.blocks()[0]) for p in part.parameters())
    assert counts["frozen"] == frozen > 0
    assert counts["trainable"] + frozen == counts["total"] == sum(p.numel() for p in tiny_vae().parameters())


def test_multiply_adds_by_hand():
    conv, images = torch.nn.Conv2d(3, 5, 3, stride=2, padding=1), torch.zeros(2, 3, 8, 8)
    assert multiply_adds(lambda: conv(images)) == 2 * 5 * 4 * 4 * 3 * 9
    query = torch.zeros(1, 2, 7, 4)  # 2 heads, 7 tokens: a product for the weights, one for the values
    attend = torch.nn.functional.scaled_dot_product_attention
    assert multiply_adds(lambda: attend(query, query, query)) == 2 * (2 * 7 * 7 * 4)


def test_a_broken_teacher_fails(monkeypatch, capsys):
    original = subject.module_to_check

    def broken(*options):
        module = original(*options)
        torch.nn.init.constant_(module.model.encoder.stage1[0].weight, float("nan"))
        return module

    monkeypatch.setattr(subject, "module_to_check", broken)
    with pytest.raises(UserError, match="checks failed for sam"):
        check.main(config("sam"))
    assert "FAIL  encoder   its maps or latents are not finite" in capsys.readouterr().out


def test_an_encoder_that_sees_nothing_and_parts_that_learn_nothing_are_warned_of(monkeypatch, capsys):
    original = subject.module_to_check

    def blind(*options):
        module = original(*options)
        torch.nn.init.zeros_(module.model.encoder.to_mu[0].weight)
        module.idle = torch.nn.Linear(1, 1)
        return module

    monkeypatch.setattr(subject, "module_to_check", blind)
    check.main(config("sam"))
    said = capsys.readouterr().out
    assert "WARN  encoder   two different crops have the same latent" in said
    assert "no gradient for 2, such as idle.weight" in said


def test_what_would_not_fit_is_not_tried(monkeypatch, capsys):
    def cost(step, batch_size, device):
        assert batch_size <= 4
        return StepCost(batch_size, 1.0, 100.0 * batch_size)

    monkeypatch.setattr(checks, "step_cost", cost)
    monkeypatch.setattr(checks, "memory_limit_mb", lambda device: 430.0)
    check.main(config("sam", batch_sizes=(1, 2, 4, 8)))
    said = capsys.readouterr().out
    assert "WARN  batch 4   1.00 images/s, 400 of 430 MB" in said
    assert "WARN  batch 8   would need 800 of 430 MB" in said
    assert "fits: 4" in said


def test_the_cost_of_a_step_is_measured():
    import time

    cost = step_cost(lambda: time.sleep(0.02), batch_size=4, device=torch.device("cpu"))
    assert 40 < cost.images_per_s <= 200
    held = memory_limit_mb(torch.device("cpu"))
    assert held > cost.peak_mb > 10


def test_every_name_is_listed(capsys):
    check.main(configured(check.Config, list=True))
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert listed == {*TINY_BACKBONES, *TINY_SEVERAL, "margin"}
