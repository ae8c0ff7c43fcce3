"""The house: floors, circles, what helpers may be handed, sizes of rooms and files, and how many flags there
are.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from configs.flags import flag_types, is_positional
from tests.test_imports import COMMANDS, FILES, HEAVY, ORDER, PROJECT, module_name

MODULES = {module_name(path): path for path in FILES}
MOST_LINES, MOST_FILES, MOST_FLAGS, MOST_FLAGS_EACH = 300, 20, 317, 45


def imported_modules(path: Path, tree: ast.AST | None = None) -> set[str]:
    """Our modules that a file imports anywhere, functions included; under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(tree or ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports by dots hide where things are"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name in MODULES}


def first_circle(imports: dict[str, set[str]]) -> list[str]:
    try:
        list(TopologicalSorter(imports).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def test_no_file_imports_itself_by_way_of_others() -> None:
    circle = first_circle({name: imported_modules(path) - {name} for name, path in MODULES.items()})
    assert not circle, " -> ".join(circle)


def test_the_search_for_circles_finds_one() -> None:
    assert first_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert {"data.crops", "data.manifest"} <= imported_modules(MODULES["data.dataset"])


def strings_of_code(tree: ast.AST) -> list[str]:
    """The strings that code works with: no docstrings, no sentences (those have spaces)."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docs
        and " " not in node.value
    ]


@pytest.mark.parametrize("package", ORDER[:-1])
def test_no_lower_floor_names_a_module_of_a_higher_one(package: str) -> None:
    higher = re.compile(rf"({'|'.join(ORDER[ORDER.index(package) + 1 :])})\.[a-z_.]+")
    wrong = []
    for path in FILES:
        if path.relative_to(PROJECT).parts[0] != package:
            continue
        for text in strings_of_code(ast.parse(path.read_text())):
            if higher.fullmatch(text) and (text in MODULES or f"{text}.__main__" in MODULES):
                wrong.append(f"{path.relative_to(PROJECT)}: {text}")
    assert not wrong


def test_a_name_of_a_higher_floor_would_be_found() -> None:
    tree = ast.parse('"""distill.run"""\nPIPELINE = "distill.run"\nprint("run distill.run again")')
    assert strings_of_code(tree) == ["distill.run"]


def heavy_modules() -> set[str]:
    """Our modules that import a heavy package at their top, or one of ours that does."""
    tops = {name: _top_imports(path) for name, path in MODULES.items()}
    heavy = {name for name, top in tops.items() if any(_package(word) in ALL_HEAVY for word in _words(top))}
    ours = {name: imported_modules(MODULES[name], top) for name, top in tops.items()}
    while more := {name for name, needs in ours.items() if needs & heavy} - heavy:
        heavy |= more
    return heavy


def read_for_help() -> set[str]:
    """The commands, the packages' `__init__`, and what they import at their top, and so on."""
    found = {module_name(path) for path in [*COMMANDS, *(PROJECT.glob("*/__init__.py"))]} & MODULES.keys()
    tops = {name: imported_modules(path, _top_imports(path)) for name, path in MODULES.items()}
    while more := {name for known in found for name in tops[known]} - found:
        found |= more
    return found


def _top_imports(path: Path) -> ast.Module:
    return ast.Module([node for node in ast.parse(path.read_text()).body if _is_import(node)], [])


def _words(tree: ast.AST) -> list[str]:
    """The modules that the import statements in a tree name."""
    return [
        word
        for node in ast.walk(tree)
        if _is_import(node)
        for word in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    ]


def _package(word: str) -> str:
    return word.split(".")[0]


ALL_HEAVY = {
    *HEAVY, "PIL", "faster_coco_eval", "filelock", "huggingface_hub", "jinja2", "lightning_fabric",
    "matplotlib", "numpy", "onnx", "onnxruntime", "pytorch_metric_learning", "safetensors", "sklearn",
    "tensorboard", "torchmetrics", "tqdm", "tyro", "yaml",
}  # fmt: skip


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def test_imports_stand_at_the_top_unless_they_would_slow_down_help() -> None:
    """Only files that `--help` reads (commands, and what stands at their top) import inside functions, and
    only what is heavy: a package that takes long, or one of ours that needs it.
    """
    heavy, light, wrong = heavy_modules(), read_for_help(), []
    for path in FILES:
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in filter(_is_import, ast.walk(function)):
                named = {*_words(node), *imported_modules(path, node)}
                takes_long = _package(_words(node)[0]) in ALL_HEAVY or named & heavy
                if not takes_long or module_name(path) not in light:
                    wrong.append(f"{path.relative_to(PROJECT)}:{node.lineno} {_words(node)[0]}")
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_helpers_get_values_not_a_commands_config() -> None:
    wrong = []
    commands = set(COMMANDS)
    for path in FILES:
        tree = ast.parse(path.read_text())
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            for argument in arguments:
                kind = ast.unparse(argument.annotation).strip("'\"") if argument.annotation else ""
                where = f"{path.relative_to(PROJECT)}:{function.lineno} {function.name}"
                if kind == "Config" and not (path in commands and function.name == "main"):
                    wrong.append(f"{where}({argument.arg}: Config)")
                if argument.arg == "config" and kind == "Any" and path.parent.name != "configs":
                    wrong.append(f"{where}(config: Any)")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and any(alias.name == "Config" for alias in node.names):
                wrong.append(f"{path.relative_to(PROJECT)}:{node.lineno} imports the Config of {node.module}")
    assert not wrong, "\n".join(wrong)


def test_files_and_rooms_stay_small() -> None:
    long = {module_name(path): len(path.read_text().splitlines()) for path in FILES}
    assert not {name: lines for name, lines in long.items() if lines > MOST_LINES}
    rooms: dict[Path, int] = defaultdict(int)
    for package in ORDER:
        for path in (PROJECT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                rooms[path.parent] += 1
    assert not {str(room.relative_to(PROJECT)): files for room, files in rooms.items() if files > MOST_FILES}


def flags() -> dict[str, list[str]]:
    """{command: its flags}; `--no-x` is the other half of `--x`."""
    found = {}
    for path in COMMANDS:
        config = importlib.import_module(module_name(path)).Config
        names = [flag for flag in flag_types(config) if not is_positional(config, flag)]
        found[module_name(path).removesuffix(".__main__")] = [
            flag for flag in names if not (flag.startswith("--no-") and f"--{flag[5:]}" in names)
        ]
    return found


def test_flags_are_few() -> None:
    found = {command: len(names) for command, names in flags().items()}
    assert max(found.values()) <= MOST_FLAGS_EACH, found
    assert sum(found.values()) <= MOST_FLAGS, found


def test_one_thing_has_one_name_everywhere() -> None:
    names = {name for command in flags().values() for name in command}
    assert not names & {"--workers", "--landmarks", "--more-train-npy", "--gate-npy", "--sure-from"}
