"""Which commands a recipe may run as stages, by name: the project's own, never any module that lies about."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from configs.errors import UserError, did_you_mean
from configs.groups import say_once

STAGE_COMMANDS = {
    "data.prepare", "data.render",
    "teacher.check", "teacher.eigenears", "teacher.embed", "teacher.evaluate", "teacher.finetune",
    "teacher.frames", "teacher.margin", "teacher.probe", "teacher.train",
    "students.bench", "students.evaluate", "students.export", "students.predict",
    "distill.bench", "distill.cache", "distill.compare", "distill.hard_negatives", "distill.label",
    "distill.label_frames", "distill.report", "distill.study.score", "distill.train",
}  # fmt: skip
# commands that have another name now: an old recipe's stage still runs, an old output still counts
MOVED_COMMANDS = {"teacher.compare": "distill.compare"}


def command_module(command: str, where: str = "") -> Any:
    """The imported module of a command (`data.render` may be a package run by its `__main__`).

    One that has another name now is found, and a note on stderr says so. Raises UserError for any other than
    those in STAGE_COMMANDS, before it is imported.
    """
    if command in MOVED_COMMANDS:
        say_once(f"note: {command} is called {MOVED_COMMANDS[command]} now.", where)
        command = MOVED_COMMANDS[command]
    if command not in STAGE_COMMANDS:
        hint = did_you_mean(command, STAGE_COMMANDS)
        raise UserError(
            f"{where}: there is no command {command!r} that may be a stage.{hint} "
            f"Commands are: {', '.join(sorted(STAGE_COMMANDS))}."
        )
    spec = importlib.util.find_spec(command)
    return importlib.import_module(f"{command}.__main__" if spec.submodule_search_locations else command)


def todays_command(command: str) -> str:
    """The name that a command has now."""
    return MOVED_COMMANDS.get(command, command)


def former_names(command: str) -> tuple[str, ...]:
    """The names that a command had before."""
    return tuple(old for old, new in MOVED_COMMANDS.items() if new == command)
