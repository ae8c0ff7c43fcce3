"""The project's own commands as what is measured: what they do is what a user's training costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from configs.build import configured
from distill.pipeline.commands import command_module


def run_here(command: str, **options: Any) -> Path:
    """Run a command in this process, with the options that a recipe would give it; returns its result.

    In this process, and not as one of its own, since `distill.bench.apart` measures the memory of its own.
    """
    module = command_module(command)
    return module.main(configured(module.Config, **options))
