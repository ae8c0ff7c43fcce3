"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from configs.errors import UserError

_BLOCK_BYTES = 2**24
_output_dirs: list[Path] = []  # of the commands at work, `writing_below`
# what numpy (an OSError without number) and torch (a RuntimeError) say when the disk takes only a part
_SHORT_WRITE = re.compile(r"requested and \d+ written|PytorchStreamWriter failed writing|No space left", re.I)


def write_atomic(path: str | os.PathLike, write: Callable[[Path], None]) -> Path:
    """Call `write(temporary)` with a path beside `path` and rename the result onto `path`.

    The temporary ends in the same suffix as `path` (some writers choose the format by it). Whatever goes
    wrong, the old file stays whole and no temporary is left behind. Missing folders are made.
    Returns `path`. `write` must make the file; what it returns is ignored.

    Raises UserError when the disk is full (or over quota) or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    with full_disk_is_a_user_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            _flush_to_disk(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def write_json(path: str | os.PathLike, obj: Any) -> Path:
    """Write `obj` as indented JSON, atomically. NaN is refused: other readers of JSON stumble over it."""
    text = json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file. Raises UserError naming the file when it is missing or not JSON."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a JSON file ({error}).") from None


@contextlib.contextmanager
def full_disk_is_a_user_error(path: str | os.PathLike) -> Iterator[None]:
    """Turn the error of a full or read-only disk inside the block into a UserError: path and bytes free.

    For writers that cannot go through `write_atomic`, such as checkpoints and video. Raises UserError too
    where the way to `path` leads through a link below the output folder (`writing_below`).
    """
    _refuse_links(Path(path))
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT) or _SHORT_WRITE.search(str(error)):
            raise UserError(
                f"{path}: the disk is full while writing ({error}; {bytes_free(Path(path)):,} bytes free). "
                "Free some space or choose another output folder, then run the command again."
            ) from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(
                f"{path}: cannot be written ({error.strerror}). Choose another output folder."
            ) from error
        raise


@contextlib.contextmanager
def writing_below(output_dir: Path) -> Iterator[None]:
    """In this block nothing is written through a symbolic link that lies below `output_dir`.

    The folder itself may be a link, as to another disk; one inside it may be a stranger's. A file that is a
    link is replaced, what it names stays as it is.
    """
    _output_dirs.append(output_dir.absolute())
    try:
        yield
    finally:
        _output_dirs.pop()


def _refuse_links(path: Path) -> None:
    for folder in path.absolute().parents:
        if folder in _output_dirs or not _output_dirs:
            break
        if folder.is_symlink() and any(folder.is_relative_to(top) for top in _output_dirs):
            raise UserError(
                f"{folder}: is a link to {os.readlink(folder)}, and nothing is written through links in an "
                "output folder. Remove the link or choose another output folder."
            )


def reserve_blocks(path: Path) -> None:
    """Give a file all its blocks: writing to a mapped file without them kills the process on a full disk.

    Raises OSError when the disk has no room.
    """
    with path.open("r+b") as file:
        size_bytes = path.stat().st_size
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size_bytes)
            return
        for start in range(0, size_bytes, _BLOCK_BYTES):
            file.seek(start)
            kept = file.read(_BLOCK_BYTES)
            file.seek(start)
            file.write(kept)


def bytes_free(path: Path) -> int:
    """Bytes free on the disk of `path`, or of its nearest folder that exists."""
    for folder in (path, *path.absolute().parents):
        if folder.exists():
            return shutil.disk_usage(folder).free
    return 0


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
