"""Checkpoints of the teacher's models: one layout for training and for shipping, and how it fills a model.

A file holds `hyper_parameters = {"kind": one of KINDS, "model": {plain values that rebuild it}}`, there also
`crops` (data.crop_settings) where they are not the project's own, and `state_dict` with keys `model.*`. A
training checkpoint (Lightning's `.ckpt`) has optimizer and loops beside them; a weights-only file has not.
Both load with `torch.load(weights_only=True)`: no code runs while reading.
"""

from __future__ import annotations

import pickle
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from configs.errors import UserError
from configs.files import write_atomic
from data.crop_settings import CropSettings
from data.image_kinds.likely_cause import likely_cause
from teacher.fitting import has_text_keys, load_weights, rebuilt

KINDS = ("EarVAE", "MarginTeacher", "EarDetector", "FrameTeacher")
PREFIX = "model."
FUSION = "fusion"  # of an EarVAE: the part that it can do without
BACKBONES = ("encoder.backbone.", "encoder.members.")  # of an EarVAE: what belongs to its backbone


def load_as(builders: Mapping[str, Callable[..., nn.Module]], path: str | Path) -> nn.Module:
    """The model of a checkpoint of one of the kinds in `builders`, in eval mode on the CPU.

    builders: kind -> what makes the model, with random weights, from its hparams as keywords.
    Raises UserError for a file that is missing, truncated, no checkpoint, of another kind, or whose
    weights do not fit the sizes it names.
    """
    checkpoint = read_checkpoint(path, tuple(builders))
    named = checkpoint["hyper_parameters"]
    weights = _without_prefix(checkpoint["state_dict"])
    model = rebuilt(builders[named["kind"]], named["model"], weights, f"{path}")
    model.crops = crop_settings(checkpoint, f"{path}")
    return model.eval()


def load_weights_into(model: nn.Module, path: str | Path, kind: str) -> None:
    """Fill `model` (changed in place) with the weights of a checkpoint of the same sizes, for `--init-
    checkpoint`.

    A fused map may be missing there, or too much: it then keeps its weights, or is left out, and is named.
    Raises UserError that names the settings that differ (latent size, backbone, ...), and as `load_as` does.
    """
    checkpoint = read_checkpoint(path, kind)
    found, wanted = checkpoint["hyper_parameters"]["model"], model.hparams
    may_differ = {"freeze_layers", "logvar_start"}  # how it trains, not what it is
    if not (found.get(FUSION) and wanted.get(FUSION)):
        may_differ.add(FUSION)
    differ = [
        key for key in wanted if key not in may_differ and _plain(found.get(key)) != _plain(wanted[key])
    ]
    if differ:
        listed = "; ".join(f"{key} is {found.get(key)!r} there, {wanted[key]!r} here" for key in differ)
        raise UserError(
            f"{path}: a checkpoint of another model ({listed}). Set the same sizes, or train from scratch."
        )
    state = dict(checkpoint["state_dict"])
    if found.get(FUSION) and not wanted.get(FUSION):
        state = {key: value for key, value in state.items() if not key.startswith(f"{PREFIX}{FUSION}.")}
        print(f"{path}: its fused map is left out", flush=True)
    if wanted.get(FUSION) and not found.get(FUSION):
        fused = getattr(model, FUSION).state_dict()
        state |= {f"{PREFIX}{FUSION}.{key}": value for key, value in fused.items()}
        print(f"{path}: has no fused map, that starts from random weights", flush=True)
    load_weights(model, _without_prefix(state), f"{path}")


def carry_over(model: nn.Module, path: str | Path, kind: str) -> None:
    """Fill `model` (changed in place) with all that fits of a checkpoint with another backbone.

    Prints what did and what did not. A backbone of another name is left out even where a key
    and shape of it happen to fit.
    """
    checkpoint = read_checkpoint(path, kind)
    found = {key.removeprefix(PREFIX): value for key, value in checkpoint["state_dict"].items()}
    if checkpoint["hyper_parameters"]["model"]["backbone"] != model.hparams["backbone"]:
        found = {key: value for key, value in found.items() if not key.startswith(BACKBONES)}
    wanted = model.state_dict()
    fitting = {
        key: value for key, value in found.items() if key in wanted and value.shape == wanted[key].shape
    }
    model.load_state_dict({**wanted, **fitting})
    print(f"{path}: carried over {len(fitting)} tensors: {', '.join(_modules_of(fitting))}", flush=True)
    rest = [key for key in wanted if key not in fitting]
    print(f"not carried over, they start anew: {', '.join(_modules_of(rest)) or 'none'}", flush=True)


def save_weights(path: str | Path, model: nn.Module, kind: str, half: bool = False) -> Path:
    """Write a model without any training state, atomically. half: floats as 16 bit, for shipping.

    model: as `hyper_parameters` takes it.
    """
    state = {PREFIX + key: value.detach().cpu() for key, value in model.state_dict().items()}
    if half:
        state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    return write_torch(path, {"hyper_parameters": hyper_parameters(model, kind), "state_dict": state})


def hyper_parameters(model: nn.Module, kind: str) -> dict[str, Any]:
    """What a checkpoint says about its model: only plain values, so that it loads without unpickling code.

    model: has `hparams`, plain values that rebuild it, and `crops`, how the ears it was trained on were cut.
    """
    crops = model.crops.to_plain()
    return {"kind": kind, "model": _plain(model.hparams), **({"crops": _plain(crops)} if crops else {})}


def crop_settings(checkpoint: dict[str, Any], where: str) -> CropSettings:
    """Of the ears that the model of a checkpoint was trained on; the project's own where it names none."""
    return CropSettings.from_plain(checkpoint["hyper_parameters"].get("crops"), where)


def require_margin(crops: CropSettings, trained_on: CropSettings, here: str, there: str) -> None:
    """Raise UserError unless ears are cut as those that a teacher was trained on; it never saw their points.

    here: what has the settings `crops`, there: what has those of the training, such as its checkpoint.
    """
    crops.require_same(replace(crops, margin=trained_on.margin), here, there)


def require_crops_of(path: Path | None, crops: CropSettings, here: str, with_points: bool = False) -> None:
    """Raise UserError unless the checkpoint that a training goes on from (None: none) is of such crops.

    here: what has the settings `crops`; with_points: of a model that reads points.
    """
    if path is None:
        return
    trained_on = crop_settings(read_checkpoint(path), f"{path}")
    if with_points:
        crops.require_same(trained_on, here, f"{path}")
    else:
        require_margin(crops, trained_on, here, f"{path}")


def write_torch(path: str | Path, content: dict) -> Path:
    """`torch.save`, atomically. Raises UserError when the disk is full."""

    def write(temporary: Path) -> None:
        # Through a Python file: torch's own writer reports a full disk as a RuntimeError without errno.
        with temporary.open("wb") as file:
            torch.save(content, file)

    return write_atomic(path, write, sum(tensor.nbytes for tensor in _tensors(content)))


def _tensors(value: Any) -> Iterator[Tensor]:
    """Those anywhere inside dicts, lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(item)


def read_checkpoint(path: str | Path, kind: str | tuple[str, ...] | None = None) -> dict[str, Any]:
    """The checked content of a checkpoint file, tensors on the CPU. `kind`: the only one or ones accepted,
    None for any.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path}: no such checkpoint. Give the .ckpt file of a trained model, such as best.ckpt."
        )
    content = read_torch(path)
    named = content.get("hyper_parameters")
    found = named.get("kind") if isinstance(named, dict) else None
    parts = (named.get("model"), content.get("state_dict")) if isinstance(named, dict) else (None,)
    if not (isinstance(found, str) and found in KINDS and all(has_text_keys(part) for part in parts)):
        raise UserError(
            f"{path}: not a checkpoint of this project's teacher (no kind among {', '.join(KINDS)} in it)."
        )
    kinds = (kind,) if isinstance(kind, str) else kind
    if kinds is not None and found not in kinds:
        raise UserError(f"{path}: holds an {found}, but an {' or '.join(kinds)} is needed here.")
    return content


def read_torch(path: str | Path) -> dict:
    """The dict in a file of `torch.save`, tensors on the CPU, no code run. Raises UserError for anything
    else.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # torch warns about foreign pickles before it refuses them
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if cause := likely_cause(path, zip_is_right=True):
            raise UserError(f"{path}: no checkpoint; {cause}.") from None
        raise UserError(
            f"{path}: holds more than weights and plain values, or is no checkpoint; it is not "
            "loaded, for that could run "
            f"code. ({_first_line(error)})"
        ) from None
    except Exception as error:  # bytes that are no pickle can raise anything
        raise UserError(
            f"{path}: cannot be read, the file is truncated or no checkpoint ({path.stat().st_size:,} bytes; "
            f"{_first_line(error)}). Copy it again or train it again."
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, expected weights by name.")
    return content


def _without_prefix(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(PREFIX): value for key, value in state_dict.items() if key.startswith(PREFIX)}


def _modules_of(keys: Iterable[str]) -> list[str]:
    """`encoder.stage2.0.weight` -> `encoder.stage2 (1)`: the modules of keys and how many each has."""
    counts = Counter(".".join(key.split(".")[:2]) for key in keys)
    return [f"{name} ({count})" for name, count in counts.items()]


def _plain(value: Any) -> Any:
    """Tuples as lists and paths as strings, so that saved and given settings compare equal and load
    safely.
    """
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
