"""distill.compare: the stages it plans, the table it makes of them, and all of it at tiny size."""

import csv
from pathlib import Path

import cv2
import pytest

from configs.build import build, configured, field_types, values_of
from configs.command import parse_config
from configs.errors import UserError
from configs.files import write_json
from configs.flags import flag_types
from configs.recipe import load_recipe, recipe_from
from distill.compare import __main__ as compare
from distill.compare.stages import student_stages, teacher_stages
from distill.compare.table import COLUMNS, as_markdown, best_map, gather
from distill.pipeline.commands import command_module
from distill.pipeline.fingerprint import Fingerprints
from distill.pipeline.plan import plan_stages
from tests import fake_stage
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
    return configured(compare.Config, **{**given, **changes})


def in_process(recipe, jobs):
    """What the pipeline does with the stages, without a process each."""
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
    teachers = config.comparison.teachers
    assert len(teachers) >= 6
    layers = dict.fromkeys(teachers, "feat1")
    stages = teacher_stages(config.comparison) | student_stages(config.comparison, layers)
    recipe = recipe_from({"run_dir": str(tmp_path), "stages": stages}, RECIPE)
    plans = plan_stages(recipe, Fingerprints(tmp_path / "fingerprints.json"))
    assert len(plans) == 1 + 8 * len(teachers) + 2
    trained = [values_of(plans[name].config) for name in teachers]
    assert len({each.get("epochs") or each["max_epochs"] for each in trained}) == 1
    assert len({each["batch_size"] for each in trained}) == 1
    for name, each in zip(teachers, trained, strict=True):
        checked = plans[f"{name}_cost"].config
        assert checked.encoder.backbone_options == each["backbone_options"]
        assert checked.batch_sizes == (each["batch_size"],)
        assert checked.model.image_size == each["image_size"]
        assert checked.model.latent_dim == (each.get("latent_dim") or each["embedding_dim"])


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


def test_the_plan_is_shown_and_a_fault_in_it_told(ears, tmp_path, capfd):
    config = tiny(ears, tmp_path, dry_run=True)
    assert compare.main(config) is None
    said = capfd.readouterr().out
    assert "run  resnet50" in said and "margin_probe" in said
    assert load_recipe(tmp_path / "recipe.yaml").run_dir == tmp_path / "stages"
    broken = tiny(ears, tmp_path, dry_run=True, train={"epoch": 3})
    with pytest.raises(UserError, match=r"recipe\.yaml, stage 'resnet50': .* Did you mean 'epochs'"):
        compare.main(broken)


def test_a_stage_that_fails_is_an_error_of_the_comparison(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(RECIPE.parent.parent))
    stages = {"broken": {"command": "tests.fake_stage", "options": {"mode": "fail"}}}
    recipe = compare._write_recipe(tmp_path, 0, stages)
    with pytest.raises(UserError, match=r"recipe\.yaml: its pipeline ended with 7"):
        compare._run(recipe, jobs=1)
    assert "stage broken failed with exit status 7" in capfd.readouterr().err


def test_a_recipe_may_call_it_by_its_former_name(tmp_path, capsys):
    path = tmp_path / "old.yaml"
    path.write_text(RECIPE.read_text().replace("distill.compare", "teacher.compare"))
    config = parse_config(compare.Config, ["--recipe", str(path)], "distill.compare")
    assert config.comparison.teachers[0] == "sam"
    assert "teacher.compare is called distill.compare now" in capsys.readouterr().err
    plans = plan_stages(load_recipe(path), Fingerprints(tmp_path / "fingerprints.json"))
    assert plans["compare"].command == "distill.compare"
    with pytest.raises(UserError, match=r"is for teacher\.compare, not tests\.fake_stage"):
        parse_config(fake_stage.Config, ["--recipe", str(path), "--stage", "compare"], "tests.fake_stage")


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
        configured(compare.Config, output_dir=tmp_path, **changes)


def test_every_setting_is_a_flag():
    assert {"--teachers", "--data-dir", "--jobs", "--dry-run"} <= set(flag_types(compare.Config))
