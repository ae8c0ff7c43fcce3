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
FLOORS = ("configs", "data", "teacher", "students", "pinna", "distill")
INTRO = """# Where is what

*Written by `python -m docs.code` from the docstrings; a test compares it with the code.*

Imports run one way, `configs <- data <- teacher <- students <- distill`, and never in a circle. Commands
stand at the door of a floor (`python -m teacher.train`), each room below holds one idea, and options lie
beside what they configure. `pinna`, the package that is installed, stands on `students`; `hatch_build.py`
gathers it."""


@dataclass(frozen=True)
class Step:
    """A place on a way: a file, what of it is passed, and what happens there."""

    file: str
    name: str
    what: str


WAYS = {
    "A crop, from the manifest to the loss (`teacher.train`)": (
        Step("data/manifest.py", "read_manifest", "paths, boxes, how ears are cut out"),
        Step("data/loading/datamodule.py", "EarDataModule.setup", "a dataset with augmentation"),
        Step("data/dataset.py", "EarCrops.view", "photograph to square crop"),
        Step("data/transforms.py", "Geometry", "moved, and by which matrix"),
        Step("teacher/vae_training/module.py", "EarVAEModule.training_step", "a batch of crops"),
        Step("teacher/models/autoencoder.py", "Autoencoder.reconstruct", "maps, latent, picture"),
        Step("teacher/vae_training/losses.py", "total_loss", "the weighted sum of the terms"),
    ),
    "A learning rate, from the recipe to the optimizer (`teacher.train`)": (
        Step("configs/recipe.py", "Recipe.resolved_options", "`lr: 3e-4`, as written"),
        Step("configs/build.py", "build", "a number in its group, OptimizerOptions"),
        Step("teacher/train.py", "main", "hands the group on, not its Config"),
        Step("teacher/vae_training/fit.py", "vae_module", "the group's values to the module"),
        Step("teacher/vae_training/module.py", "EarVAEModule.configure_optimizers", "parameter groups"),
        Step("teacher/training/optimizer.py", "build_optimizer", "AdamW, and the schedule"),
    ),
    "A photograph, through the two students (`EarPipeline`)": (
        Step("students/inference/pipeline.py", "EarPipeline.__call__", "an RGB array"),
        Step("students/inference/letterbox.py", "letterboxed", "in three letterboxes"),
        Step("students/inference/boxes.py", "detections_numpy", "the detector's cells to boxes"),
        Step("students/inference/letterbox.py", "seen_through", "each box to the landmarker's crop"),
        Step("students/inference/rescoring.py", "rescore_and_suppress", "landmarks rescore boxes"),
    ),
}


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
