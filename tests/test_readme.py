"""The README's map of the code is complete and names nothing that is gone."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("configs", "data", "teacher", "students", "distill")


def mapped_files() -> set[str]:
    found, folder = set(), ""
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"\*\*([a-z_/]+)/\*\*", line):
            folder = heading[1]
        elif row := re.match(r"\| `(\w+\.py)` \| .+ \|$", line):
            found.add(f"{folder}/{row[1]}")
    return found


def test_every_source_file_has_its_line_in_the_map():
    sources = {
        path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    }
    assert mapped_files() == sources


def test_links_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
