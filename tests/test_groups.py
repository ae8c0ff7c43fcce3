"""configs.groups: options of groups beside a Config's own, and options that are gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from configs import groups
from configs.build import build, build_partial, configured, field_types, values_of, with_options
from configs.command import parse_config
from configs.errors import UserError
from configs.flags import to_flags
from configs.groups import Fixed, Flat, Gone, Ignored, Removed, Renamed
from configs.provenance import plain


@dataclass(frozen=True)
class Warp:
    """One value."""

    turn: float = 15.0
    flip: bool = True


@dataclass(frozen=True)
class Rates:
    """How fast it learns."""

    lr: float = 1e-3
    """Highest learning rate."""
    warmup_steps: int = 10
    """Steps over which it rises."""
    GONE: ClassVar[Mapping[str, Gone]] = {"gradient_clip": Fixed(1.0, "no run ever needed another")}

    def __post_init__(self) -> None:
        """Raise UserError for a rate of 0."""
        if self.lr <= 0:
            raise UserError(f"lr={self.lr}: above 0 is needed.")


@dataclass(frozen=True)
class Config:
    """A command with a group whose defaults are its own."""

    npy: tuple[Path, ...]
    """Manifests."""
    output_dir: Path = Path("out")
    """Folder."""
    rates: Flat[Rates] = field(default_factory=lambda: Rates(lr=3e-4))
    """How fast it learns."""
    warp: Warp = Warp()
    """How crops are moved."""
    parts: dict[str, Any] = field(default_factory=dict)
    """By name."""
    GONE: ClassVar[Mapping[str, Gone]] = {
        "more_npy": Renamed("npy", joins=True),
        "speed": Renamed("lr"),
        "head": Renamed("parts.head"),
        "scheme": Removed("give it to data.prepare", was="own"),
        "num_nodes": Ignored("it is found from the environment"),
    }


def made(**options):
    return build(Config, {"npy": "a.npy", **options}, "here")


def test_options_of_a_group_stand_beside_the_others():
    assert list(field_types(Config)) == ["npy", "output_dir", "lr", "warmup_steps", "warp", "parts"]
    config = made(lr="1e-2")
    assert config.rates == Rates(1e-2, 10) and config.npy == (Path("a.npy"),)
    assert made(warmup_steps=3).rates == Rates(3e-4, 3)  # over the Config's default, not the group's own
    assert values_of(config)["lr"] == 1e-2 and plain(config)["lr"] == 1e-2
    with pytest.raises(UserError, match=r"here: unknown option 'lrr'\. Did you mean 'lr'\?"):
        made(lrr=1)
    with pytest.raises(UserError, match="here: lr=0.0: above 0"):
        made(lr=0)


def test_a_partial_group_is_not_checked_and_keeps_the_default_of_the_config():
    partial = build_partial(Config, {"lr": 0}, "here", missing=None)
    assert (partial.rates.lr, partial.rates.warmup_steps, partial.npy) == (0, 10, None)


def test_flags_give_the_same_configuration_again(capsys):
    config = configured(Config, npy=["a", "b"], lr=2.0, warp={"flip": False}, parts={"eps": 1e-05})
    flags = to_flags(config)
    assert flags[:3] == ["--npy", "a", "b"] and "--warmup-steps" not in flags
    assert flags[flags.index("--warp") + 1] == '{"flip": false}'
    assert parse_config(Config, flags, "some.command") == config
    with pytest.raises(SystemExit):
        parse_config(Config, ["--help"], "some.command")
    text = capsys.readouterr().out
    assert text.index("--output-dir") < text.index("rates options") < text.index("--lr")


def test_a_copy_with_other_options_reaches_into_groups():
    config = with_options(made(lr=2.0), warmup_steps=7, output_dir=Path("there"))
    assert config.rates == Rates(2.0, 7) and config.output_dir == Path("there")


def test_what_became_of_an_option_is_said_once_or_refused(capsys):
    groups._SAID.clear()
    for _ in range(2):
        config = made(more_npy=["b.npy"], speed=0.5, head="x", gradient_clip="1e0", num_nodes=2)
    assert config == configured(Config, npy=["a.npy", "b.npy"], lr=0.5, parts={"head": "x"})
    said = capsys.readouterr().err.splitlines()
    assert sorted(said) == [
        "note: gradient_clip is 1.0 for good now: no run ever needed another. (here)",
        "note: head is called parts.head now. (here)",
        "note: more_npy belongs to npy now. (here)",
        "note: num_nodes is gone: it is found from the environment. (here)",
        "note: speed is called lr now. (here)",
    ]
    with pytest.raises(UserError, match="gradient_clip = 5: gradient_clip is 1.0 for good now"):
        made(gradient_clip=5)
    with pytest.raises(UserError, match="scheme = 'x': scheme is gone: give it to data.prepare"):
        made(scheme="x")
    with pytest.raises(UserError, match="lr is given twice"):
        made(speed=1, lr=1)
    with pytest.raises(UserError, match="unknown flag --speed: speed is called lr now"):
        parse_config(Config, ["--npy", "a", "--speed", "1"], "some.command")


def test_what_was_the_default_or_not_set_is_no_complaint():
    assert made(scheme="own", speed=None, head="", gradient_clip=None, more_npy=None) == made()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"head": "x", "parts": {"head": "y"}}, "parts.head is given twice, once by its old name head"),
        ({"head": "x", "parts": [1]}, "parts = \\[1\\] is not `key: value` lines, and head is one of them"),
        ({"warmup-steps": 1, "warmup_steps": 2}, "warmup_steps is given twice, with hyphens"),
        ({"gradient_clip": True}, "gradient_clip is 1.0 for good now"),
    ],
)
def test_what_is_given_twice_or_is_no_mapping_is_refused(options, complaint):
    with pytest.raises(UserError, match=complaint):
        made(**options)


def test_a_fault_in_a_mapping_names_its_flag():
    with pytest.raises(UserError, match="flags, --warp: turn = 'x' is not a number"):
        parse_config(Config, ["--npy", "a", "--warp", "{turn: x}"], "some.command")
