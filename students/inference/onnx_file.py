"""ONNX files of `students.export`, opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime

from configs.errors import UserError


def open_model(path: str | Path, kind: str, threads: int = 0) -> tuple[Any, dict[str, str]]:
    """An ONNX Runtime session on the CPU and the file's metadata. UserError if it is no `kind` of ours."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file. Students are exported by `python -m students.export`.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but Exception
        raise UserError(
            f"{path}: not an ONNX model that can be read ({str(error).splitlines()[0]})."
        ) from error
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get("pinna_kind") != kind:
        found = metadata.get("pinna_kind", "a model that students.export did not write")
        raise UserError(f"{path}: a {kind} is wanted here, found {found}.")
    return session, metadata
