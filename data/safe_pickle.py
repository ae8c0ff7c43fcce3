"""Read the object in an `.npy` file, pickled or not, without letting the file run code or touch memory.

The pickle is not handed to Python's unpickler, nor its arrays to numpy's: `data.unpickling` knows plain
values and arrays of a few types, and allocates nothing that does not lie in the file.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from configs.errors import UserError
from data.unpickling.arrays import KNOWN, Finish
from data.unpickling.machine import PickleMachine

_LONGEST_HEADER = 2**16  # bytes, from where the pickle or the values begin
_PLAIN_KINDS = "biufUS"


def load_object(path: str | os.PathLike) -> Any:
    """The one object pickled in the `.npy` file at `path` (a plain array comes back as it is).

    Raises UserError when the file is missing, is no whole `.npy` file, or holds any other object than numpy
    arrays of numbers and text, strings, numbers, lists, tuples and dicts.
    """
    path = Path(path)
    try:
        # a pipe would be waited for, a device has no end
        if not path.is_dir() and path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path}: is no regular file, expected an .npy manifest.")
        with path.open("rb") as file:
            loaded = _read(file, os.fstat(file.fileno()).st_size, str(path))
            return loaded.item() if isinstance(loaded, np.ndarray) and loaded.shape == () else loaded
    except FileNotFoundError:
        raise UserError(f"{path}: no such manifest.") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, expected an .npy manifest.") from None
    except UserError:
        raise
    except Exception as error:  # bytes that are no pickle can raise anything
        what = f"{type(error).__name__}: {error}"[:300]
        raise UserError(
            f"{path}: no readable .npy manifest ({what}). Is it cut off, or another kind?"
        ) from None


def _read(file: BinaryIO, size_bytes: int, where: str) -> Any:
    version = np.lib.format.read_magic(file)
    header_at = file.tell()
    width = 2 if version[0] == 1 else 4
    header_bytes = int.from_bytes(file.read(width), "little")
    if header_bytes > min(size_bytes, _LONGEST_HEADER):
        raise ValueError(f"a header of {header_bytes:,} bytes")
    file.seek(header_at)
    read_header = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        return Finish(size_bytes)(PickleMachine(file, size_bytes, KNOWN, where).run())
    if dtype.kind not in _PLAIN_KINDS or min(shape, default=0) < 0:
        raise ValueError(f"values of type {dtype}, shape {shape}")
    declared, there = math.prod(shape) * dtype.itemsize, size_bytes - file.tell()
    if declared > there or (dtype.itemsize == 0 and math.prod(shape)):
        raise ValueError(f"its header declares {declared:,} bytes of values, {there:,} are there")
    values = np.fromfile(file, dtype, math.prod(shape))
    return values.reshape(shape, order="F" if fortran else "C")
