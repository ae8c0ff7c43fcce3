"""configs.build: values reach the type of their field, and faults are named."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from configs.build import build, build_partial, field_types, takes_dict
from configs.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Geometry:
    flip: bool = True
    rotate_deg: float = 10.0


@dataclass
class Options:
    train_npy: Path
    epochs: int = 3
    lr: float = 1e-3
    name: str = "ear"
    backbone: Literal["sam", "resnet50"] = "sam"
    precision: Literal["32", "bf16-mixed"] = "32"
    labels: int | float | None = None
    size_px: tuple[int, int] = (320, 320)
    channels: tuple[int, ...] = ()
    inputs: list[Path] = field(default_factory=list)
    extra: dict[str, Any] | None = None
    weights: dict[str, float] = field(default_factory=dict)
    geometry: Geometry = field(default_factory=Geometry)
    anything: Any = None
    counter: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise UserError(f"epochs = {self.epochs} is negative.")


def made(**options: Any) -> Options:
    return build(Options, {"train_npy": "a.npy", **options}, "r.yaml, stage 'teacher'")


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("train_npy", "data/b.npy", Path("data/b.npy")),
        ("epochs", "4", 4),
        ("epochs", 1e3, 1000),
        ("lr", "1e-4", 1e-4),  # what PyYAML makes of 1e-4
        ("lr", 1, 1.0),
        ("name", 7, "7"),
        ("backbone", "resnet50", "resnet50"),
        ("precision", 32, "32"),
        ("labels", 300, 300),
        ("labels", 0.5, 0.5),
        ("labels", None, None),
        ("labels", "1e-1", 0.1),
        ("size_px", [240, "320"], (240, 320)),
        ("channels", [], ()),
        ("channels", [1, 2, 3], (1, 2, 3)),
        ("inputs", ["a", "b"], [Path("a"), Path("b")]),
        ("extra", {"depth": 4, "window": [1, 2]}, {"depth": 4, "window": [1, 2]}),
        ("extra", None, None),
        ("weights", {"a": "1e-3"}, {"a": 1e-3}),
        ("anything", [1, "x"], [1, "x"]),
    ],
)
def test_a_value_reaches_the_type_of_its_field(key: str, written: Any, value: Any) -> None:
    found = getattr(made(**{key: written}), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("written", "value"), [(True, True), ("no", False), ("On", True), (False, False)])
def test_bool(written: Any, value: bool) -> None:
    assert made(geometry={"flip": written}).geometry.flip is value


def test_nested_dataclasses_and_hyphens() -> None:
    config = made(**{"size-px": [1, 2], "geometry": {"rotate-deg": "5"}})
    assert config.size_px == (1, 2)
    assert config.geometry == Geometry(flip=True, rotate_deg=5.0)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"epoch": 3}, r"r\.yaml, stage 'teacher': unknown option 'epoch'\. Did you mean 'epochs'\?"),
        ({"geometry": {"flp": 1}}, r"geometry: unknown option 'flp'\. Did you mean 'flip'\?"),
        ({"counter": 3}, "unknown option 'counter'"),
        ({"epochs": 1.5}, "epochs = 1.5 is not a whole number"),
        ({"epochs": True}, "epochs = True is not"),
        ({"epochs": "many"}, "epochs = 'many' is not a whole number"),
        ({"lr": "fast"}, "lr = 'fast' is not a number"),
        ({"lr": None}, "lr = None is not a number"),
        ({"name": False}, "name = False is not text"),
        ({"name": ["a"]}, "name = \\['a'\\] is not text"),
        ({"train_npy": ""}, "train_npy = '' is not a path"),
        ({"backbone": "resnet5"}, "not one of 'sam', 'resnet50'. Did you mean 'resnet50'"),
        ({"labels": "some"}, "labels = 'some' is not int or float"),
        ({"size_px": [1, 2, 3]}, "has 3 entries, 2 are needed"),
        ({"size_px": 320}, "size_px = 320 is not a list"),
        ({"inputs": "a"}, "inputs = 'a' is not a list"),
        ({"inputs": [3]}, r"inputs\[0\] = 3 is not a path"),
        ({"extra": 3}, "extra = 3 is not"),
        ({"weights": {"a": "x"}}, "weights.a = 'x' is not a number"),
        ({"geometry": {"flip": 2}}, "flip = 2 is not true or false"),
        ({"geometry": [1]}, "expected `key: value` lines"),
        ({"epochs": -1}, "stage 'teacher': epochs = -1 is negative"),
    ],
)
def test_faults_are_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        made(**options)


def test_a_missing_option_is_named() -> None:
    with pytest.raises(UserError, match="missing option train_npy"):
        build(Options, {}, "here")


def test_partial_keeps_the_gap_and_checks_nothing_yet() -> None:
    gap = object()
    config = build_partial(Options, {"epochs": -1, "geometry": {"flip": "no"}}, "here", missing=gap)
    assert config.train_npy is gap
    assert config.epochs == -1
    assert config.geometry == Geometry(flip=False)
    assert config.inputs == []
    assert config.inputs is not build_partial(Options, {}, "here", missing=gap).inputs


def test_field_types_are_resolved_and_settable() -> None:
    types = field_types(Options)
    assert types["epochs"] is int
    assert "counter" not in types
    assert [name for name, wanted in types.items() if takes_dict(wanted)] == ["extra", "weights"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("epoch", " Did you mean 'epochs'?"),
        ("--Batch_Sise", " Did you mean 'batch-size'?"),
        ("zzz", ""),
    ],
)
def test_did_you_mean(word: str, hint: str) -> None:
    assert did_you_mean(word, ["epochs", "batch-size", "lr"]) == hint
