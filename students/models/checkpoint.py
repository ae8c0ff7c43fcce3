"""Students on disk: kind, values that rebuild the model, weights, and how the crops of a landmarker are cut.

Nothing of the teacher or an adapter.
"""

import inspect
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from configs.errors import UserError, did_you_mean, shown
from configs.reading.coercion import coerce
from data.crop_settings import CropSettings
from students.models.detector import StudentDetector
from students.models.landmarker import StudentLandmarker
from teacher.checkpoint import read_torch, write_torch
from teacher.fitting import LARGEST, has_text_keys, rebuilt

KINDS: dict[str, type[nn.Module]] = {"detector": StudentDetector, "landmarker": StudentLandmarker}


def build_student(kind: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """A student with random weights. kind: "detector" or "landmarker"; options: arguments of its class."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(
            f"Unknown student {shown(kind)}; allowed are {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}"
        )
    options = dict(options or {})
    allowed = list(inspect.signature(KINDS[kind]).parameters)
    for name in options:
        if name not in allowed:
            raise UserError(
                f"Unknown option {name!r} of the {kind}; allowed are {', '.join(allowed)}."
                f"{did_you_mean(name, allowed)}"
            )
    types = typing.get_type_hints(KINDS[kind].__init__)
    values = {name: coerce(value, types[name], f"the {kind}", name) for name, value in options.items()}
    sizes = {name: value for name, value in values.items() if type(value) is int}
    if wrong := [name for name, value in sizes.items() if not 1 <= value <= LARGEST]:
        raise UserError(f"The {kind}'s {wrong[0]} is {sizes[wrong[0]]}, allowed is 1 to {LARGEST:,}.")
    return KINDS[kind](**values)


def save_student(path: str | Path, student: nn.Module, crops: CropSettings | None = None) -> Path:
    """Write {"kind", "model", "state_dict"} atomically; "model" are the values that rebuild the student.

    crops: those that a landmarker was trained on; written as "crops" unless they are the project's own.
    """
    content = {
        "kind": kind_of(student),
        "model": dict(student.hparams),
        "state_dict": {name: tensor.detach().cpu() for name, tensor in student.state_dict().items()},
    }
    if crops is not None and crops.to_plain() is not None:
        content["crops"] = crops.to_plain()
    return write_torch(path, content)


def load_student(path: str | Path, kind: str | None = None) -> nn.Module:
    """Read a student in eval mode, on the CPU; with `kind`, refuse the other kind.

    Raises UserError for a missing or unreadable file, a file of another model, and weights that do not fit.
    """
    path = Path(path)
    content = _read(path)
    if kind is not None and content["kind"] != kind:
        raise UserError(f"{path} holds a {content['kind']}, but a {kind} is wanted here.")

    def build(**options: Any) -> nn.Module:
        return build_student(content["kind"], options)

    return rebuilt(build, content["model"], content["state_dict"], f"{path}").eval()


def student_crops(path: str | Path) -> CropSettings:
    """How the crops of a landmarker's file are cut, and what its points are; the project's own where the file
    has none. Raises UserError as `load_student` does.
    """
    return CropSettings.from_plain(_read(Path(path)).get("crops"), str(path))


def kind_of(student: nn.Module) -> str:
    """ "detector" or "landmarker"."""
    for kind, student_class in KINDS.items():
        if isinstance(student, student_class):
            return kind
    raise TypeError(f"{type(student).__name__} is no student; students are {', '.join(KINDS)}")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file. A student is written by distill.train as student.pt.")
    content = read_torch(path)
    parts = [content.get(name) for name in ("model", "state_dict")]
    if set(content) - {"crops"} != {"kind", "model", "state_dict"} or not all(map(has_text_keys, parts)):
        found = sorted(map(str, content))[:6]
        raise UserError(
            f"{path}: not a student (found {found}, wanted kind, model and state_dict). Teachers' "
            "checkpoints are read by teacher.checkpoint; a student is written by distill.train as student.pt."
        )
    for name, weights in content["state_dict"].items():
        if isinstance(weights, Tensor) and weights.is_floating_point() and not weights.isfinite().all():
            raise UserError(f"{path}: {name} holds NaN or infinity: its training diverged. Train it again.")
    return content
