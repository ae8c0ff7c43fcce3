"""What made a folder: resolved configuration, seed, versions, git revision and processor."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from configs.command import command_name
from configs.files import write_text
from configs.groups import options_of
from configs.processes.lifetime import PARENT_VARIABLE

_PROJECT = Path(__file__).resolve().parent.parent
_PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "transformers",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "numpy",
    "scipy",
    "onnx",
    "onnxruntime",
)
WORK = ".work"  # the pipeline lets a stage work in run_dir/.work/STAGE and moves it to run_dir/STAGE


def write_provenance(output_dir: str | Path, config: Any) -> Path:
    """Write `run.yaml` into `output_dir`: command, `config` (a dataclass) in full, versions, git revision,
    processor.

    Returns the file's path. Call it when the command starts, so that a run that was cut off has it too.
    """
    import yaml

    content = {
        "command": command_name(type(config)),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": dict(options_of(config)).get("seed"),
        "git_revision": git_revision(),
        "versions": versions(),
        "processor": processor(),
        "config": plain(config),
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return write_text(Path(output_dir) / "run.yaml", text)


def plain(value: Any) -> Any:
    """`value` in the types of YAML: dataclasses and paths become mappings and strings.

    A path into the folder where the pipeline lets a stage work becomes the one where the result will lie.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: plain(item) for name, item in options_of(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        working = PARENT_VARIABLE in os.environ and WORK in value.parts
        return str(Path(*(part for part in value.parts if part != WORK)) if working else value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape results, as installed (nothing is imported)."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name, as Linux tells it; elsewhere the kind of machine."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def git_revision() -> str | None:
    """The commit of the code, with ` (changed)` when files differ from it; None outside a git checkout."""
    try:
        revision = _git("rev-parse", "HEAD")
        return revision + (" (changed)" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_PROJECT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
