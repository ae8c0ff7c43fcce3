"""The documents: docs/code.md is what the code says, the README is short, links lead somewhere."""

import re
from pathlib import Path

import pytest

from docs import code
from pinna.__main__ import parser
from tests.test_structure import flags

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/pretrained/README.md")])
MOST_README_LINES = 200
TORCHRUN = ("--nproc-per-node",)
PACKAGE_FLAGS = re.findall(r"--[a-z]+", parser().format_help())


def test_the_map_of_the_code_is_up_to_date() -> None:
    written = code.PAGE.read_text(encoding="utf-8")
    assert written == code.page(), "write it anew: python -m docs.code"


def test_every_file_says_what_it_is_for() -> None:
    files = [path for floor in code.FLOORS for path in (ROOT / floor).rglob("*.py")]
    assert [path for path in files if len(code.summary(path)) < 10] == []


def test_a_step_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no such_name there"):
        code.way("A way", (code.Step("data/manifest.py", "such_name", "nothing"),))


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_README_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http", "mailto")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "experiments" not in page.parts], ids=lambda page: page.name
)
def test_the_flags_that_a_page_names_exist(page: Path) -> None:
    """Experiments and the log of changes name those of their day."""
    known = {"--recipe", "--stage", "--help", *TORCHRUN, *PACKAGE_FLAGS} | {
        name for names in flags().values() for name in names
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", page.read_text(encoding="utf-8")))
    named -= {name for name in named if name.replace("--no-", "--") in known}
    assert page.name == "CHANGELOG.md" or named <= known, named - known
