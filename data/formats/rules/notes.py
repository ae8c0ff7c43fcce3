"""What a reader says beside the ears: what it left out, what it changed, which photographs lost an ear."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from configs.errors import UserError
from data.formats.drops import Drops


@dataclass
class Notes:
    """Filled by a reader.

    drops: what was left out; changes: what was brought to the project's conventions; lines: what was read, as
    sentences to print. spoilt_images: paths that show an ear which was left out, so that a detector must not
    learn from them. point_names: of the landmarks, in their order; None where the file names none.
    """

    drops: Drops = field(default_factory=Drops)
    changes: Drops = field(default_factory=Drops)
    lines: list[str] = field(default_factory=list)
    spoilt_images: set[str] = field(default_factory=set)
    point_names: tuple[str, ...] | None = None

    def drop_record(self, where: str, error: UserError) -> None:
        """A record of an annotation file that is not what it should be."""
        self.drops.add("record that cannot be used: " + str(error).removeprefix(f"{where}: "), where)

    def drop_file(self, file: Path, error: UserError) -> None:
        """An annotation file that cannot be read."""
        self.drops.add("file that cannot be read: " + str(error).removeprefix(f"{file}: "), str(file))
