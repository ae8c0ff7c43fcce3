"""distill.pipeline.settings: a record of another day says the same as today's options, or what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from configs.groups import Fixed, Gone, Ignored, Removed, Renamed
from distill.pipeline.settings import changed_settings, settings_of


@dataclass(frozen=True)
class Config:
    npy: tuple[str, ...] = ()
    stages: dict[str, str] = field(default_factory=dict)
    acceptance_npy: str | None = None
    new: int = 3

    GONE: ClassVar[Mapping[str, Gone]] = {
        "gate_npy": Renamed("acceptance_npy"),
        "more_npy": Renamed("npy", joins=True),
        "data": Renamed("stages.data"),
        "clip": Fixed(1.0, "no training needed another"),
        "margin": Removed("the manifest says it", was=0.1),
        "threads": Ignored("counted by the machine"),
        "second": Fixed({"shift": 0.1}, "far enough"),
    }


@pytest.mark.parametrize(
    ("old", "config", "expected"),
    [
        ({"npy": [], "stages": {}, "acceptance_npy": None, "new": 3}, Config(), []),
        ({"new": 4}, Config(), ["setting new 4 -> 3"]),
        ({}, Config(new=5), ["setting new 3 -> 5"]),
        ({"gate_npy": "a.npy"}, Config(acceptance_npy="a.npy"), []),
        ({"gate_npy": "a.npy"}, Config(acceptance_npy="b.npy"), ["setting acceptance_npy a.npy -> b.npy"]),
        ({"npy": "a", "more_npy": ["b", "c"]}, Config(npy=("a", "b", "c")), []),
        ({"npy": "a", "more_npy": None}, Config(npy=("a",)), []),
        ({"npy": "a"}, Config(npy=("a",)), []),
        ({"data": "${data}"}, Config(stages={"data": "${data}"}), []),
        ({"clip": 1.0, "margin": 0.1, "threads": 7}, Config(), []),
        ({"margin": 0.2}, Config(), ["setting margin 0.2 -> None"]),
        ({"gate_npy": None, "acceptance_npy": "a.npy"}, Config(acceptance_npy="a.npy"), []),
        ({"second.shift": 0.1, "second.jitter": 0.04}, Config(), []),
        ({"second.shift": 0.2}, Config(), ["setting second.shift 0.2 -> None"]),
        ({"clip": 2.0}, Config(), ["setting clip 2.0 -> None"]),
    ],
)
def test_what_counts_as_changed(old, config, expected):
    assert changed_settings(old, settings_of(config), settings_of(Config()), Config) == expected
