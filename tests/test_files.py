"""configs.files: a file appears whole or not at all."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from configs.errors import UserError
from configs.files import full_disk_is_a_user_error, write_atomic, write_json
from configs.reading.content import read_json


def full_disk(path: Path) -> None:
    path.write_text("hal")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_new_file_and_folders(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "a" / "b.txt", lambda temporary: temporary.write_text("whole"))
    assert path.read_text() == "whole"
    assert [item.name for item in path.parent.iterdir()] == ["b.txt"]


def test_the_temporary_has_the_suffix_and_lies_beside(tmp_path: Path) -> None:
    seen = []
    write_atomic(
        tmp_path / "a.npy", lambda temporary: (seen.append(temporary), np.save(temporary, np.eye(2)))
    )
    assert seen[0].suffix == ".npy"
    assert seen[0].parent == tmp_path
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.eye(2))


@pytest.mark.parametrize("old", [None, "old"])
def test_full_disk_keeps_the_old_file_and_names_path_and_space(tmp_path: Path, old: str | None) -> None:
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)
    with pytest.raises(UserError, match=r"a\.txt: the disk is full while writing .* [\d,]+ bytes free"):
        write_atomic(path, full_disk)
    assert (path.read_text() if path.exists() else None) == old
    assert [item.name for item in tmp_path.iterdir()] == (["a.txt"] if old else [])


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("8000 requested and 3424 written"),  # numpy's tofile
        RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"),
    ],
)
def test_other_ways_to_say_that_the_disk_is_full(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(UserError, match="the disk is full"), full_disk_is_a_user_error(tmp_path / "x" / "y"):
        raise error


def test_an_unwritable_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"), full_disk_is_a_user_error(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), RuntimeError("a bug"), KeyboardInterrupt()])
def test_other_errors_pass_and_leave_no_temporary(tmp_path: Path, error: BaseException) -> None:
    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(type(error)):
        write_atomic(tmp_path / "a.txt", fail)
    assert list(tmp_path.iterdir()) == []


def test_json_there_and_back(tmp_path: Path) -> None:
    content = {"nme": 0.03, "names": ["ü"], "none": None}
    assert read_json(write_json(tmp_path / "m.json", content)) == content


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "m.json", {"nme": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_reading_json_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_json(tmp_path / "m.json")
    (tmp_path / "m.json").write_text(json.dumps({"a": 1})[:-1])
    with pytest.raises(UserError, match=r"m\.json: not a JSON file"):
        read_json(tmp_path / "m.json")
