"""The direction of imports, light packages and light commands."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from configs.command import parse_config
from configs.flags import flag_types, is_positional

PROJECT = Path(__file__).resolve().parent.parent
# each may import itself and those before it
ORDER = ["configs", "data", "teacher", "students", "pinna", "distill"]
HEAVY = [
    "torch",
    "torchvision",
    "pytorch_lightning",
    "transformers",
    "timm",
    "albumentations",
    "cv2",
    "scipy",
]
MARK = 'if __name__ == "__main__":\n    run_command(Config, main)\n'
FILES = sorted(path for package in ORDER for path in (PROJECT / package).rglob("*.py"))
COMMANDS = [path for path in FILES if path.read_text().endswith(MARK)]


def imported_names(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere; relative imports are of its own package."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0] if node.level == 0 else path.relative_to(PROJECT).parts[0])
    return names


def defined_names(path: Path) -> set[str]:
    """Names a module defines or imports at its top level."""
    names = set()
    for node in ast.parse(path.read_text(), str(path)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def promised_names(path: Path) -> dict[str, str]:
    """{name: module} that a package's `__init__` hands to `lazy_names`."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy_names":
            return ast.literal_eval(node.args[1])
    return {}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def test_imports_point_one_way() -> None:
    wrong = []
    for path in FILES:
        package = path.relative_to(PROJECT).parts[0]
        later = set(ORDER[ORDER.index(package) + 1 :]) | {"tests"}
        wrong += [f"{path.relative_to(PROJECT)} imports {name}" for name in imported_names(path) & later]
    assert not wrong


def test_the_reader_of_imports_reads_them(tmp_path: Path) -> None:
    path = PROJECT / "distill" / "run.py"
    assert {"configs", "distill", "tyro", "pathlib"} <= imported_names(path)


@pytest.mark.parametrize(
    "modules",
    [ORDER, [module_name(path) for path in COMMANDS]],
    ids=["packages", "commands"],
)
def test_imports_stay_light(modules: list[str]) -> None:
    """`--help` imports the command's module: it must answer at once, so nothing heavy may come with it."""
    program = (
        "import importlib, sys\n"
        f"for module in {modules!r}:\n"
        "    importlib.import_module(module)\n"
        f"    heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    assert not heavy, f'{module} imports {heavy}'\n"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr.splitlines()[-1]


@pytest.mark.parametrize("package", ORDER)
def test_lazy_names_have_a_home(package: str) -> None:
    """What a package's `__init__` promises is defined where it says (read, for importing takes long)."""
    promised = promised_names(PROJECT / package / "__init__.py")
    assert promised
    for name, home in promised.items():
        path = PROJECT / (home.replace(".", "/") + ".py")
        path = path if path.exists() else path.with_suffix("") / "__init__.py"
        assert name in defined_names(path), f"{package} promises {name} in {home}"
    module = importlib.import_module(package)
    assert sorted(promised) == module.__all__
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


@pytest.mark.parametrize("path", COMMANDS, ids=module_name)
def test_every_option_of_a_command_is_explained(path: Path, capsys: pytest.CaptureFixture) -> None:
    module = importlib.import_module(module_name(path))
    with pytest.raises(SystemExit) as stop:
        parse_config(module.Config, ["--help"], module_name(path).removesuffix(".__main__"))
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for flag in flag_types(module.Config):
        assert flag in text or flag.startswith("--no-") or is_positional(module.Config, flag)
