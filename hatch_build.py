"""The package `pinna`, gathered from this checkout when a wheel is built (`pip install .`, `make wheel`).

`gather` takes the modules of pinna/ and, of the floors, those that they need. Each keeps its place, one
level deeper (`data/crops.py` becomes `pinna/data/crops.py`), and where one names another, it gets `pinna.` in
front. So nothing is written twice, and nothing but `pinna` is installed.
"""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

FLOORS = ("configs", "data", "teacher", "students", "distill")
MODELS = ("students/pretrained/*.onnx", "students/pretrained/README.md")


class GatherPackage(BuildHookInterface):
    """The wheel holds what `gather` writes."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Gather it before the wheel is written; `pip install -e .` uses the checkout as it is."""
        if version != "editable":
            self._folder = tempfile.TemporaryDirectory()
            gather(Path(self.root), Path(self._folder.name))
            build_data["force_include"][self._folder.name] = "pinna"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing but the wheel."""
        if version != "editable":
            self._folder.cleanup()


class TrainingRequirements(MetadataHookInterface):
    """The extra `train` is requirements.txt."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add it."""
        lines = (Path(self.root) / "requirements.txt").read_text(encoding="utf-8").splitlines()
        metadata["optional-dependencies"] = {"train": [line for line in lines if line[:1] not in ("", "#")]}


def gather(root: Path, folder: Path) -> None:
    """Write the package into `folder`, which becomes `pinna`. root: the checkout.

    The `__init__` of a floor or room keeps its docstring alone: its names are of modules that stay behind.
    Raises ValueError for an import of a whole floor or room, in which `pinna.` has no place.
    """
    modules = needed_modules(root)
    of_floors = [re.escape(name) for name in modules if name.split(".")[0] in FLOORS]
    names = re.compile(rf"(?<![\w.])({'|'.join(sorted(of_floors, reverse=True))})(?!\w)")
    for name, path in modules.items():
        text = names.sub(r"pinna.\1", path.read_text(encoding="utf-8"))
        if left := [word for word in imports(ast.parse(text)) if word.split(".")[0] in FLOORS]:
            raise ValueError(f"{path}: imports from {left[0]} itself; import from the module that has it")
        _write(folder / _file(Path(), name.removeprefix("pinna.")), text)
    for room in {room for path in folder.rglob("*.py") for room in path.relative_to(folder).parents[:-1]}:
        docstring = ast.get_docstring(ast.parse((root / room / "__init__.py").read_text(encoding="utf-8")))
        _write(folder / room / "__init__.py", f'"""{docstring}"""\n')
    for path in (path for pattern in MODELS for path in root.glob(pattern)):
        (folder / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.relative_to(root))


def needed_modules(root: Path) -> dict[str, Path]:
    """{dotted name: file} of the modules of pinna/, those of the floors that they name, and so on."""
    found: dict[str, Path] = {}
    to_see = [f"pinna.{path.stem}" for path in (root / "pinna").glob("*.py")]
    while to_see:
        name = to_see.pop()
        path = _file(root, name)
        if name not in found and path.is_file():
            found[name] = path
            to_see += named_modules(path.read_text(encoding="utf-8"))
    return found


def named_modules(code: str) -> list[str]:
    """What may be modules of ours: all that code imports or imports from, and strings (`configs.lazy`)."""
    tree = ast.parse(code)
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    names = [*imports(tree), *(string for string in strings if isinstance(string, str))]
    return [name for name in names if re.fullmatch(rf"(pinna|{'|'.join(FLOORS)})(\.\w+)+", name)]


def imports(tree: ast.AST) -> list[str]:
    """The modules that code imports, or imports from."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return found


def _file(root: Path, module: str) -> Path:
    return root / (module.replace(".", "/") + ".py")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
