"""What every writer has to say of a manifest's pictures: name, size, and which ears are theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data.images import image_size
from data.manifest import Manifest


@dataclass(frozen=True)
class WrittenPicture:
    """name: below the written file's folder where it lies there, else absolute; rows: of the manifest."""

    path: str
    name: str
    width: int
    height: int
    rows: list[int]


def written_pictures(manifest: Manifest, folder: Path) -> Iterator[WrittenPicture]:
    """Each picture of a manifest once, those without ears too. UserError for one that cannot be read."""
    rows_of: dict[str, list[int]] = {}
    for row, path in enumerate(map(str, manifest.image_paths)):
        rows_of.setdefault(path, []).append(row)
    for path in map(str, manifest.empty_images):
        rows_of.setdefault(path, [])
    for path, rows in rows_of.items():
        height, width = image_size(path)
        file = Path(path).absolute()
        name = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.as_posix()
        yield WrittenPicture(path, name, width, height, rows)
