"""The report: one file that needs nothing else, true figures, and word of what is missing."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from configs.build import build
from configs.command import parse_config
from configs.errors import UserError
from configs.recipe import recipe_from
from data.crop_settings import CropSettings
from data.landmarks import load_scheme
from data.manifest import read_manifest, write_manifest
from distill.pipeline.fingerprint import Fingerprints
from distill.pipeline.plan import plan_stages
from distill.pipeline.schedule import stage_command
from distill.report.__main__ import Config, main
from distill.report.figures import figures, merge_into, merged
from distill.report.inputs import Inputs
from distill.report.provenance import made_by
from distill.report.roles import COMMANDS
from tests.made_up_run import MEAN_ERRORS, make_run

VOID = {"meta", "link", "img", "br", "path", "circle", "rect", "use"}


class Page(HTMLParser):
    """Tags with their attributes, and the text; complains where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run with every stage, and its report."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "made_up")
    main(Config(run=folder))
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return Page((run / "report" / "index.html").read_text())


def test_the_page_needs_nothing_else(run: Path, page: Page) -> None:
    assert not page.all("script")
    assert not page.all("iframe")
    addresses = [value for _, attributes in page.tags for name, value in attributes.items()
                 if name in ("src", "href", "srcset", "xlink:href", "action")]  # fmt: skip
    assert len(addresses) > 30
    assert [address for address in addresses if not address.startswith(("data:", "#"))] == []
    style = re.search(r"<style>(.*?)</style>", (run / "report" / "index.html").read_text(), re.S)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert (run / "report" / "index.html").stat().st_size < 6e6


def test_names_are_unique_and_links_lead_somewhere(page: Page) -> None:
    identities = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [name for name, count in identities.items() if count > 1] == []
    targets = [
        attributes[name]
        for _, attributes in page.tags
        for name in ("href", "xlink:href")
        if name in attributes
    ]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(identities)
    clips = [attributes["clip-path"] for _, attributes in page.tags if "clip-path" in attributes]
    assert {clip[5:-1] for clip in clips} <= set(identities)


def test_a_whole_run_has_every_section(page: Page) -> None:
    assert "Nothing to show yet" not in page.text
    assert len(page.all("svg")) >= 15
    # ears: 6 best, 6 typical, 12 worst; frames: 6 and 6; 4 eigenears; grid, frames, 3 of the teacher's
    assert len(page.all("img")) >= 24 + 12 + 4 + 4
    assert all(image["alt"] for image in page.all("img"))


def test_what_the_recipe_says_is_shown_as_text(page: Page) -> None:
    assert "note: <b>teacher</b> & more" in page.text
    assert "torch" in page.text
    assert "0123456789abcdef" in page.text
    assert "name: made_up" in page.text


def test_metrics_json_has_the_figures(run: Path) -> None:
    found = json.loads((run / "metrics.json").read_text())
    assert found["teacher"]["psnr"] == 22.54321
    assert found["teacher"]["psnr_interval"] == [22.1, 22.9]
    assert found["teacher"]["measured_on"] == "test"
    for model, error in MEAN_ERRORS.items():
        assert found[model]["nme"] == pytest.approx(error, rel=1e-5)
        low, high = found[model]["nme_interval"]
        assert low < error < high
    assert (found["detector"]["ap50"], found["detector"]["onnx_mb"], found["detector"]["ms_1_thread"]) == (
        0.95,
        1.25,
        4.5,
    )
    assert (found["landmarker"]["onnx_mb"], found["landmarker"]["ms_1_thread"]) == (0.75, 1.5)


def test_without_evaluation_the_figures_are_of_the_validation_set(run: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    found = figures(Inputs(run, {"evaluate": nothing, "teacher_eval": nothing, "export": nothing}))
    assert found["teacher"] == {"psnr": 22.0, "ssim": 0.6, "measured_on": "validation"}
    assert found["ear_detector"] == {"nme": 0.041, "measured_on": "validation"}
    assert found["detector"] == {"ap50": 0.94, "measured_on": "validation"}


def test_figures_are_merged_into_what_is_there(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"study": 7, "teacher": {"psnr": 1.0, "seen": 3}}))
    merge_into(path, figures(Inputs(run, {})))
    found = json.loads(path.read_text())
    assert (found["study"], found["teacher"]["seen"], found["teacher"]["psnr"]) == (7, 3, 22.54321)
    assert merged({"a": {"b": 1}}, {"a": 2}) == {"a": 2}
    path.write_text("[1]")
    with pytest.raises(UserError, match="expected an object"):
        merge_into(path, figures(Inputs(run, {})))


def test_an_empty_run_says_which_stages_make_it(tmp_path: Path) -> None:
    page = Page(main(Config(run=tmp_path)).read_text())
    assert json.loads((tmp_path / "metrics.json").read_text()) == {}
    for stage, command in COMMANDS.items():
        assert re.search(rf"The stage {stage} makes it\s+\(python -m {re.escape(command)}\)", page.text), (
            stage
        )


def test_stages_without_a_section_are_listed_where_they_ran(tmp_path: Path) -> None:
    run = make_run(tmp_path)  # whose own stages began at 10
    for stage, hour in (("said_by_twin", "11"), ("prepared", "09"), ("report", "12")):
        (run / stage).mkdir()
        record = f"command: made.{stage}\nstarted: 2026-11-21T{hour}:00:00+0000\n"
        (run / stage / "run.yaml").write_text(record)
    made = made_by(Inputs(run, {}))
    stages = [row.label for row in made["stages"]]
    assert stages[0] == "prepared"
    assert stages[-1] == "said_by_twin"
    assert set(stages) == {*COMMANDS, "prepared", "said_by_twin"}


def test_a_missing_run_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run folder"):
        main(Config(run=tmp_path / "nowhere"))


def test_damaged_inputs_cost_only_their_section(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = make_run(tmp_path)
    damaged = ["teacher/metrics.csv", "evaluate/per_image.npz", "export/export.json", "eigenears/pc_1.png",
               "data/grid.png", "data/test_frames.npy", "landmarker/run.yaml"]  # fmt: skip
    for name in damaged:
        content = (run / name).read_bytes()
        (run / name).write_bytes(b"{[" + content[5 : len(content) // 2] + b"\nno,number")
    page = Page(main(Config(run=run)).read_text())
    said = capsys.readouterr().out
    for name in damaged:
        assert re.search(rf"warning: left out of the report: \S*{name} cannot be read", said), name
    assert "Student, distilled" in page.text  # the table comes from metrics.json
    assert "component 2, 20.0% of the variance" in page.text


@pytest.mark.parametrize("old", [False, True])
def test_the_reports_options_make_its_dependencies(old: bool, tmp_path: Path) -> None:
    """Also as recipes gave them when every role was an option of its own."""
    roles = {stage: f"${{{stage}}}" for stage in COMMANDS}
    options = {"run": "${run}"} | (
        {"metrics_json": "${run}/metrics.json", **roles} if old else {"stages": roles}
    )
    stages = {stage: {"command": "data.render"} for stage in COMMANDS}
    stages["report"] = {"command": "distill.report", "options": options}
    recipe = recipe_from({"run_dir": "runs/demo", "stages": stages}, Path("demo.yaml"))
    assert set(recipe.stage("report").needs) == set(COMMANDS)
    config = build(Config, recipe.resolved_options("report", {"output_dir"}), "demo.yaml")
    assert config.stages["evaluate"] == Path("runs/demo/evaluate")
    assert config.output_dir == Path("runs/demo/report")
    plan = plan_stages(recipe, Fingerprints(tmp_path / "fingerprints.json"))["report"]
    assert {stage for stage, _ in plan.upstream_paths} == set(COMMANDS)
    words = stage_command(plan.config)[3:]
    assert parse_config(Config, words, "distill.report") == plan.config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": {"techer": "a"}}, "no role 'techer'. Did you mean 'teacher'"),
        ({"metrics_json": "elsewhere/figures.json"}, "metrics_json is metrics.json for good now"),
        ({"title": "A heading"}, "called after its run"),
    ],
)
def test_options_that_there_are_not(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(Config, {"run": "runs/demo", **options}, "demo.yaml")


def test_points_are_named_by_the_manifest_they_were_measured_on(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    scheme = load_scheme()
    names = tuple(f"place {index}" for index in range(len(scheme)))
    npy = run / "data" / "test_labelled.npy"
    other = CropSettings(scheme=replace(scheme, names=names))
    write_manifest(npy, replace(read_manifest(npy), crops=other))
    assert "16  place 16" in Page(main(Config(run=run)).read_text()).text
