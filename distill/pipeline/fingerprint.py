"""Digests of the files a run takes from outside, so that it notices when one changes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from configs.errors import UserError
from configs.files import write_json
from configs.reading.coercion import coerce
from configs.reading.content import read_json


class Fingerprints:
    """Digests of input files and folders.

    A file's digest is of its content; it is read again only when its size or time of change differ from those
    remembered in `memory_file`. A manifest's digest also covers path, size and time of the images it
    lists, a folder's that of the files in it.
    """

    def __init__(self, memory_file: Path | None = None) -> None:
        self._memory_file = memory_file
        self._memory: dict[str, Any] = {}
        if memory_file is not None and memory_file.exists():
            try:
                memory = coerce(
                    read_json(memory_file), dict[str, tuple[int, int, str]], f"{memory_file}", "it"
                )
                self._memory = {path: list(known) for path, known in memory.items()}
            except UserError:
                self._memory = {}  # only a memory: what it forgot is read again

    def of(self, path: Path) -> str:
        """Digest of a file or folder. Raises FileNotFoundError when there is none."""
        if path.is_dir():
            files = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
            return _digest_of_stats(files)
        digest = self._of_content(path)
        images = _listed_images(path)
        return _digest([digest, _digest_of_stats(images)]) if images else digest

    def remember(self) -> None:
        """Write the digests to the memory file."""
        if self._memory_file is not None:
            write_json(self._memory_file, self._memory)

    def _of_content(self, path: Path) -> str:
        stat = path.stat()
        key = str(path.absolute())
        known = self._memory.get(key)
        if known is None or known[:2] != [stat.st_size, stat.st_mtime_ns]:
            with path.open("rb") as file:
                known = [stat.st_size, stat.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()]
            self._memory[key] = known
        return known[2]


def _listed_images(path: Path) -> list[Path]:
    """The images a manifest lists; none when the file is not a manifest."""
    if path.suffix != ".npy":
        return []
    from data.manifest import read_manifest

    try:
        manifest = read_manifest(path)
    except UserError:
        return []  # another kind of array; a broken manifest is for the stage to complain about
    return [Path(str(image)) for image in {*manifest.image_paths, *manifest.empty_images}]


def _digest_of_stats(paths: Iterable[Path]) -> str:
    lines = []
    for path in sorted(paths):
        try:
            stat = path.stat()
            lines.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
        except OSError:
            lines.append(f"{path} missing")
    return _digest(lines)


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
