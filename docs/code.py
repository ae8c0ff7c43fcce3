"""Where is what: `python -m docs.code` writes docs/code.md from the docstrings of the code.

A line a file, and three ways through the house. `tests/test_docs.py` fails where the page is older than the
code.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "code.md"
FLOORS = ("configs", "data", "teacher", "students", "distill")
INTRO = """# Where is what

*Written by `python -m docs.code` from the docstrings; a test compares it with the code.*

Imports run one way, `configs <- data <- teacher <- students <- distill`, and never in a circle. Commands
stand at the door of a floor (`python -m teacher.train`), each room below holds one idea, and options lie
beside what they configure."""


@dataclass(frozen=True)
class Step:
    """A place on a way: a file, what of it is passed, and what happens there."""

    file: str
    name: str
    what: str


WAYS: dict[str, tuple[Step, ...]] = {}


def page() -> str:
    """The whole of docs/code.md."""
    parts = [INTRO, *(way(title, steps) for title, steps in WAYS.items())]
    for floor in FLOORS:
        for room in rooms(PROJECT / floor):
            parts.append(room_table(room))
    return "\n\n".join(parts) + "\n"


def way(title: str, steps: tuple[Step, ...]) -> str:
    """A way as a list with arrows. Raises ValueError for a file or name that is not there."""
    for step in steps:
        if step.name not in defined(PROJECT / step.file):
            raise ValueError(f"{step.file}: no {step.name} there")
    width = max(len(f"{step.file}: {step.name}") for step in steps)
    lines = [f"{f'{step.file}: {step.name}':{width}}   {step.what}" for step in steps]
    files = len({step.file for step in steps})
    drawn = "\n  |\n".join(lines)
    return f"## {title}\n\n{files} files.\n\n```\n{drawn}\n```"


def rooms(floor: Path) -> list[Path]:
    """A floor and the rooms in it that hold code, from the door inwards."""
    return sorted({path.parent for path in floor.rglob("*.py")})


def room_table(room: Path) -> str:
    """A heading, what the room is for, and a line a file."""
    files = sorted(path for path in room.glob("*.py") if path.name != "__init__.py")
    name = room.relative_to(PROJECT).as_posix()
    about = summary(room / "__init__.py") if (room / "__init__.py").exists() else ""
    rows = [f"| `{path.name}` | {summary(path)} |" for path in files]
    table = "\n".join(["| file | |", "|---|---|", *rows])
    return f"## {name}/\n\n{about}\n\n{table}" if rows else f"## {name}/\n\n{about}"


def summary(path: Path) -> str:
    """The first sentence of a file's docstring, without a command line behind a colon."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    first = re.sub(r": `python -m [^`]*`(, [^.]*)?", "", first)
    return re.split(r"(?<=[a-z0-9`)])\. (?=[A-Z])", first)[0].rstrip(".").replace("|", "\\|")


def defined(path: Path) -> set[str]:
    """Names of a file: functions, classes and their methods (`Class.method`), constants."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
            fields = (item.target.id for item in node.body if isinstance(item, ast.AnnAssign))
            found |= {f"{node.name}.{field}" for field in fields}
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"result: {PAGE.relative_to(PROJECT)}")
