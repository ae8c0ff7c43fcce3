"""Read a pickled object out of an `.npy` file without letting the pickle run code.

A pickle names the functions that rebuild it; this unpickler knows the few by which numpy rebuilds arrays and
scalars and refuses every other name before anything is called.
"""

from __future__ import annotations

import codecs
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray, numeric

from configs.errors import UserError

_DTYPES = {
    name: getattr(np.dtypes, name)
    for name in dir(np.dtypes)
    if isinstance(getattr(np.dtypes, name), type) and issubclass(getattr(np.dtypes, name), np.dtype)
}
# The names in old and new pickles of numpy arrays: `numpy.core` became `numpy._core` in numpy 2.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): multiarray._reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): multiarray.scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): numeric._frombuffer for core in ("core", "_core")},
    **{("numpy.dtypes", name): dtype for name, dtype in _DTYPES.items()},
}


def load_object(path: str | os.PathLike) -> Any:
    """The one object pickled in the `.npy` file at `path` (a plain array comes back as it is).

    Raises UserError when the file is missing, is no whole `.npy` file, or holds any other object than numpy
    arrays, strings, numbers, lists, tuples and dicts.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0 if version[0] == 1 else _read_header_2
            _, _, dtype = read_header(file)
            if not dtype.hasobject:
                file.seek(0)
                return np.load(file, allow_pickle=False)
            loaded = _Unpickler(file, path).load()
    except FileNotFoundError:
        raise UserError(f"{path}: no such manifest.") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, expected an .npy manifest.") from None
    except UserError:
        raise
    except Exception as error:  # bytes that are no pickle can raise anything
        what = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{path}: no readable .npy manifest ({what}). Is it cut off, or another kind?"
        ) from None
    return loaded.item() if isinstance(loaded, np.ndarray) and loaded.shape == () else loaded


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UserError(
                f"{self._path}: the pickle asks for {module}.{name}, which could run code; nothing was "
                "loaded. A manifest may hold numpy arrays, strings, numbers, lists and dicts only."
            ) from None


def _read_header_2(file: Any) -> tuple:
    return np.lib.format.read_array_header_2_0(file)
