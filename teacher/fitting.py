"""Weights of a file and the model that they are for: rebuilt from values in the file, and filled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from configs.errors import UserError, shown

SHOWN_KEYS = 6  # of those that do not fit, in an error
LARGEST = 16_384  # of the numbers that say how large a model is


def rebuilt(
    build: Callable[..., nn.Module], options: Mapping[str, Any], weights: Mapping[str, Any], where: str
) -> nn.Module:
    """`build(**options)` with these weights.

    It is built without memory first, so that options that ask for more than the file holds weights for cost
    nothing. Raises UserError beginning with `where` for options that are none of its, and for weights that do
    not fit.
    """
    _require_small(options, where)
    if options.get("pretrained"):
        raise UserError(f"{where}: asks for published weights instead of its own; it is not loaded.")
    with contextlib.suppress(_NotBuiltError), torch.device("meta"):  # some layers want to see a value
        _require_fit(_built(build, options, where), weights, where)
    model = _built(build, options, where)
    load_weights(model, weights, where)
    return model


class _NotBuiltError(UserError):
    """Its values are of another type or size than its layers take."""


def load_weights(model: nn.Module, weights: Mapping[str, Any], where: str) -> None:
    """Fill `model` (changed in place). Raises UserError beginning with `where` where they do not fit."""
    _require_fit(model, weights, where)
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise UserError(f"{where}: its weights do not fit the model it names: {error}.") from None


def has_text_keys(value: Any) -> bool:
    """Whether it is a dict all of whose keys are text."""
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def misfits(found: dict[str, torch.Size], expected: dict[str, torch.Size]) -> str:
    """What keeps weights of shapes `found` from a model of shapes `expected`, in words; empty when they
    fit.
    """
    missing = sorted(set(expected) - set(found))
    unknown = sorted(set(found) - set(expected))
    shapes = [
        f"{key} is {tuple(found[key])}, needs {tuple(expected[key])}"
        for key in sorted(set(found) & set(expected))
        if found[key] != expected[key]
    ]
    parts = (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
    return "; ".join(f"{len(keys)} {word}: {_listed(keys)}" for word, keys in parts if keys)


def _listed(keys: list[str]) -> str:
    shown = ", ".join(keys[:SHOWN_KEYS])
    return f"{shown} and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else shown


def _built(build: Callable[..., nn.Module], options: Mapping[str, Any], where: str) -> nn.Module:
    try:
        return build(**options)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except Exception as error:
        raise _NotBuiltError(f"{where}: names a model that cannot be built ({error}).") from None


def _require_fit(model: nn.Module, weights: Mapping[str, Any], where: str) -> None:
    if not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(f"{where}: its weights are not all tensors.")
    expected = {key: value.shape for key, value in model.state_dict().items()}
    faults = misfits({key: value.shape for key, value in weights.items()}, expected)
    if faults:
        raise UserError(f"{where}: its weights do not fit the model it names: {faults}.")


def _require_small(value: Any, where: str) -> None:
    if isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            _require_small(item, where)
    elif isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
        raise UserError(f"{where}: names a model of size {shown(value)}, at most {LARGEST:,} makes sense.")
