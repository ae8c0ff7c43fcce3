"""Files and folders that appear whole or not at all."""

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

from configs.errors import UserError, WriteError

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

_BLOCK_BYTES = 2**24
_output_dirs: list[Path] = []  # of the commands at work, `writing_below`
# what numpy (an OSError without number), torch (a RuntimeError) and Pillow say when only a part is taken
_SHORT_WRITE = re.compile(
    r"requested and \d+ written|PytorchStreamWriter failed writing|when writing image file|No space left",
    re.I,
)
_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


def write_atomic(
    path: str | os.PathLike, write: Callable[[Path], object], needed_bytes: int | None = None
) -> Path:
    """Call `write(temporary)` with a path beside `path` and rename the result onto `path`.

    The temporary ends in the same suffix as `path` (some writers choose the format by it). Whatever goes
    wrong, the old file stays whole and no temporary is left behind. Missing folders are made.
    Returns `path`. `write` must make the file; what it returns is ignored. needed_bytes: its size, if known.

    Raises WriteError when the disk is full (or over quota) or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        with full_disk_is_a_user_error(path, temporary, needed_bytes):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            _flush_to_disk(temporary)
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # it never came to be
            temporary.unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def whole_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` when the block ends and is gone when the block fails.

    `folder` may be there if it is empty. Raises WriteError as `write_atomic`.
    """
    folder = Path(os.path.realpath(folder))
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        with full_disk_is_a_user_error(folder):
            temporary.mkdir(parents=True)
            yield temporary
            os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: str | os.PathLike, content: bytes) -> Path:
    """Write `content`, atomically."""
    return write_atomic(path, lambda temporary: temporary.write_bytes(content), len(content))


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write `text` in UTF-8, atomically.

    Bytes of a file name that are no UTF-8 become escapes such as \\udce9, which JSON reads back.
    """
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: str | os.PathLike, obj: Any) -> Path:
    """Write `obj` as indented JSON, atomically. NaN is refused: other readers of JSON stumble over it."""
    return write_text(path, json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def full_disk_is_a_user_error(
    path: str | os.PathLike, part: Path | None = None, needed_bytes: int | None = None
) -> Iterator[None]:
    """Turn an error of a full or read-only disk inside the block into a WriteError: path, bytes needed, free.

    For writers that cannot go through `write_atomic`, such as checkpoints and video. part: the file that is
    written first, if it is another. needed_bytes: the size of all of it, if known. Raises UserError too where
    the way to `path` leads through a link below the output folder (`writing_below`).
    """
    _refuse_links(Path(path))
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause: BaseException | None = error  # torch, closing its file, hides why it could not write
        while cause is not None:
            refused = write_error(cause, Path(path), Path(part or path), needed_bytes)
            if refused is not None:
                raise refused from error
            cause = cause.__context__
        raise


def write_error(
    error: BaseException, path: Path, part: Path | None = None, needed_bytes: int | None = None
) -> WriteError | None:
    """What an error says of the disk, as a sentence for people; None where it says something else."""
    number = getattr(error, "errno", None)
    if number in _NO_PLACE and isinstance(error, OSError):
        return WriteError(f"{path}: cannot be written ({error.strerror}). Choose another output folder.")
    full = number in (errno.ENOSPC, errno.EDQUOT) or (number is None and _SHORT_WRITE.search(str(error)))
    if not full and number != errno.EFBIG:
        return None
    written = part.stat().st_size if part is not None and part.is_file() else 0
    at_least = f"more than {written:,}" if written else "more"
    needed = at_least if needed_bytes is None else f"{needed_bytes:,}"
    limit = file_size_limit()
    if number == errno.EFBIG or (limit is not None and limit <= max(written, needed_bytes or 0)):
        return WriteError(
            f"{path}: {needed} bytes are needed, but no file may be larger than {limit or 0:,} bytes here "
            "(ulimit -f). Raise the limit, then run the command again."
        )
    return WriteError(
        f"{path}: the disk is full while writing ({error}): {needed} bytes needed, "
        f"{bytes_free(path) + written:,} bytes free. "
        "Free some space or choose another output folder, then run the command again."
    )


def file_size_limit() -> int | None:
    """Bytes that a file may have (`ulimit -f`), None where there is no limit."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


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
