"""What a reader says beside the ears: what it left out, what it changed, which photographs lost an ear."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from configs.errors import UserError
from data.formats.drops import Drops
from data.images import find_images


@dataclass
class Notes:
    """Filled by a reader.

    drops: what was left out; changes: what was brought to the project's conventions; lines: what was read, as
    sentences to print. spoilt_images: paths that show an ear which was left out, so that a detector must not
    learn from them. point_names: of the landmarks, in their order; None where the file names none. broken_stems:
    of annotation files that could not be read.
    """

    drops: Drops = field(default_factory=Drops)
    changes: Drops = field(default_factory=Drops)
    lines: list[str] = field(default_factory=list)
    spoilt_images: set[str] = field(default_factory=set)
    point_names: tuple[str, ...] | None = None
    broken_stems: set[str] = field(default_factory=set)

    def drop_file(self, file: Path, error: UserError) -> None:
        """An annotation file that cannot be read; pictures beside it of its name may show an ear."""
        self.drops.add("file that cannot be read: " + str(error).removeprefix(f"{file}: "), str(file))
        self.broken_stems.add(file.stem)

    def add_unannotated(self, folder: Path, stems: list[str] | None) -> None:
        """List the pictures below a folder that no annotation file is of; stems: of those that are, None for
        a single file.
        """
        if stems is None:
            return
        known = {*stems, *self.broken_stems}
        for image in find_images(folder):
            if image.stem not in known:
                self.drops.add("image without an annotation file, not used", str(image), wanted=True)
