"""teacher.compare: the stages it plans, the table it makes of them, and all of it at tiny size."""

import csv
from pathlib import Path

import cv2
import pytest

from configs.argv import flag_types
from configs.build import build, field_types
from configs.errors import UserError
from configs.files import write_json
from configs.recipe import load_recipe, recipe_from
from distill.fingerprint import Fingerprints
from distill.stages import command_module, plan_stages
from teacher.compare import __main__ as compare
from teacher.compare.stages import student_stages, teacher_stages
from teacher.compare.table import COLUMNS, as_markdown, best_map, gather
from tests.drawn_ears import draw_ears
from tests.tiny_backbones import TINY_BACKBONES, TINY_MARGIN
from tests.tiny_teacher import TINY_VAE

RECIPE = Path(__file__).resolve().parent.parent / "configs" / "compare.yaml"


@pytest.fixture(scope="module")
def ears(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ears")
    for split, photographs, seed in (("train", 6, 0), ("val", 4, 1), ("test", 4, 2)):
        for kind in ("teacher", "labelled"):
            draw_ears(folder, f"{split}_{kind}", photographs, seed)
    return folder


def tiny(ears, output_dir, **changes):
    sizes = {
        key: value for key, value in TINY_VAE.items() if key not in ("backbone_options", "freeze_layers")
    }
    sizes["decoder_channels"] = list(sizes["decoder_channels"])
    margin = {key: TINY_MARGIN[key] for key in ("backbone_options", "embedding_dim", "num_pseudo_classes")}
    given = {
        "teachers": ("resnet50", "margin"),
        "data_dir": ears,
        "output_dir": output_dir,
        "train": {
            **sizes, "pretrained": False, "perceptual_weight": 0, "epochs": 1, "batch_size": 3,
            "num_workers": 0,
        },
        "teacher_options": {
            "resnet50": {"backbone_options": TINY_BACKBONES["resnet50"]},
            "margin": {**margin, "decoder_channels": list(TINY_MARGIN["decoder_channels"])},
        },
        "maps": {"grid": 4, "views": 2, "num_workers": 0},
        "student": {
            "steps": 1, "rounds": 1, "batch_size": 4, "num_workers": 0,
            "student_options": {"trunk": "mobilenetv3_small_050", "width": 8},
        },
    }  # fmt: skip
    return compare.Config(**{**given, **changes})


def in_process(config, stages):
    """What the pipeline does with the stages, without a process each."""
    recipe = recipe_from(
        {"run_dir": str(config.output_dir / "stages"), "stages": stages}, Path("recipe.yaml")
    )
    for name, stage in recipe.stages.items():
        if not recipe.output_dir(name).exists():
            module = command_module(stage.command)
            module.main(build(module.Config, recipe.resolved_options(name, field_types(module.Config)), name))


def test_two_teachers_from_their_training_to_the_table(ears, tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "_run", in_process)
    folder = compare.main(tiny(ears, tmp_path))
    rows = {
        row.pop("teacher"): row for row in csv.DictReader((folder / "table.csv").read_text().splitlines())
    }
    assert list(rows) == ["resnet50", "margin", "twin"]
    for name in ("resnet50", "margin"):
        assert all(rows[name][column] for column in COLUMNS)
        probed = {
            layer: float(rows[name][f"probe_{layer}"]) for layer in ("backbone", "feat1", "feat2", "feat3")
        }
        assert rows[name]["probe_map"] == min(probed, key=probed.get)
        assert float(rows[name]["probe_nme"]) == min(probed.values())
        assert 0 < float(rows[name]["pc1"]) <= float(rows[name]["pc1_5"]) <= 1
    assert float(rows["twin"]["student_nme"]) > 0 and not rows["twin"]["psnr"]
    for picture in ("table.png", "eigenears.png"):
        assert cv2.imread(str(folder / picture)) is not None
    assert (folder / "table.md").read_text().count("\n") == 5


def test_the_recipe_that_ships_plans_every_stage(tmp_path):
    """Each option of each stage fits its command, also of what is planned only after the probes."""
    shipped = load_recipe(RECIPE)
    options = shipped.resolved_options("compare", field_types(compare.Config))
    config = build(compare.Config, options, "compare")
    assert len(config.teachers) >= 6
    stages = teacher_stages(config) | student_stages(config, dict.fromkeys(config.teachers, "feat1"))
    recipe = recipe_from({"run_dir": str(tmp_path), "stages": stages}, RECIPE)
    plans = plan_stages(recipe, Fingerprints(tmp_path / "fingerprints.json"))
    assert len(plans) == 1 + 8 * len(config.teachers) + 2
    trained = [plans[name].config for name in config.teachers]
    assert len({getattr(each, "epochs", None) or each.max_epochs for each in trained}) == 1
    assert len({each.batch_size for each in trained}) == 1
    for name, each in zip(config.teachers, trained, strict=True):
        checked = plans[f"{name}_cost"].config
        assert checked.backbone_options == each.backbone_options
        assert checked.batch_sizes == (each.batch_size,)
        assert checked.image_size == each.image_size
        assert checked.latent_dim == getattr(each, "latent_dim", None) or each.embedding_dim


def test_a_row_is_what_its_stages_say(tmp_path):
    cost = {"parameters": {"total": 2_500_000, "trainable": 1_000_000, "frozen": 1_500_000}}
    cost["batches"] = [{"batch_size": 4, "images_per_s": 12.5, "peak_mb": 800.0}]
    write_json(tmp_path / "sam_cost" / "metrics.json", cost)
    quality = {"psnr": 21.0, "ssim": 0.6, "edge": 0.02, "latent_cosine": 0.1}
    write_json(tmp_path / "sam_eval" / "metrics.json", quality)
    variance = {
        "explained": [0.3, 0.2, 0.1, 0.06, 0.04, 0.01],
        "cumulative": [0.3, 0.5, 0.6, 0.66, 0.7, 0.71],
    }
    write_json(tmp_path / "sam_eigenears" / "variance.json", variance)
    probe = {"backbone": 0.08, "feat1": 0.06, "feat3": 0.2, "pyramid": 0.05, "dec16": 0.04}
    write_json(tmp_path / "sam_probe" / "metrics.json", {"nme": probe})
    write_json(tmp_path / "sam_score" / "metrics.json", {"landmarker": {"nme": 0.033}})
    row = gather(tmp_path, "sam")
    assert best_map(probe) == row["probe_map"] == "feat1"  # neither the decoder's nor all side by side
    assert row["pc1_5"] == pytest.approx(0.7)
    heading, _, line, twin, _ = as_markdown({"sam": row, "twin": {"student_nme": 0.04}}).split("\n")
    assert line.startswith(
        "| sam | 2.50 | 1.00 | 12.5 | 800 | 21.00 | 0.600 | 0.0200 | 0.100 | 0.300 | 0.700 |"
    )
    assert line.endswith("| feat1 | 0.0600 | 0.0330 |")
    assert twin.endswith("|  | 0.0400 |")
    assert heading.count("|") == line.count("|") == twin.count("|")


def test_the_pipeline_is_started_and_its_failure_told(ears, tmp_path, capfd):
    config = tiny(ears, tmp_path, dry_run=True)
    assert compare.main(config) is None
    said = capfd.readouterr().out
    assert "run  resnet50" in said and "margin_probe" in said
    broken = tiny(ears, tmp_path, dry_run=True, train={"epoch": 3})
    with pytest.raises(UserError, match=r"recipe\.yaml: its pipeline ended with 2"):
        compare.main(broken)
    assert "Did you mean 'epochs'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teachers": ("sam", "resnet")}, "Did you mean 'resnet50'"),
        ({"teachers": ("sam",)}, "at least two different ones"),
        ({"teachers": ("sam", "sam")}, "at least two different ones"),
        ({"teacher_options": {"san": {}}}, "Did you mean 'sam'"),
    ],
)
def test_comparisons_that_make_no_sense(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        compare.Config(output_dir=tmp_path, **changes)


def test_every_setting_is_a_flag():
    assert {"--teachers", "--data-dir", "--jobs", "--dry-run"} <= set(flag_types(compare.Config))
