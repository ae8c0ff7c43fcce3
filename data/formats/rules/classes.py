"""Which classes are ears: those whose names, in whole words, say so; others only when asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from configs.errors import UserError, did_you_mean

EAR_WORDS = frozenset({"ear", "ears", "pinna", "pinnae", "auricle", "auricles"})
SIDE_WORDS = {"left": "left", "l": "left", "right": "right", "r": "right"}
# Words that may stand beside `ear` without making another thing of it, as `tag`, `lobe` or `of corn` do.
_BESIDE = {
    "a", "the", "human", "person", "people", "man", "woman", "child", "adult", "baby", "face", "facial",
    "head", "outer", "external", "both", "visible", "hidden", "occluded", "partial", "full", "whole", "side",
    "profile", "frontal", "lateral", "point", "points", "landmark", "landmarks", "keypoint", "keypoints",
    "pose", "skeleton", "box", "boxes", "bbox", "class", "object", "label", *SIDE_WORDS,
}  # fmt: skip
NO_NAME = "(no name)"


@dataclass(frozen=True)
class Chosen:
    """names: classes that are read; other_side: classes of ears that `--side` leaves out; line: to print."""

    names: frozenset[str]
    other_side: frozenset[str]
    line: str


def choose_classes(counts: Mapping[str, int], wanted: str, side: str, where: object) -> Chosen:
    """Which classes of a file to read. counts: class -> its annotations; "" where a class has no name.

    wanted: `--category`, names with commas between, or empty; side: "both", "left" or "right". Raises
    UserError for a wanted class that is nowhere, and where no class, or a doubtful one, is named like an ear.
    """
    if wanted and counts:
        taken = _asked_for(counts, wanted, where)
    elif set(counts) <= {""}:
        taken = set(counts)
    else:
        taken = _named_like_ears(counts, where) | ({""} & set(counts))
    other_side = frozenset() if side == "both" else frozenset(n for n in taken if side_of(n) != side)
    if side != "both" and taken and taken == other_side:
        raise UserError(f"{where}: no class says {side}: {_listed(counts, taken)}; leave out --side {side}.")
    names = frozenset(taken - other_side)
    line = f"class taken: {_listed(counts, names)}"
    if left := [name for name in counts if name not in names]:
        line += f"; left out: {_listed(counts, left)}"
    return Chosen(names, other_side, line if counts else "")


def words_of(name: str) -> list[str]:
    """The words of a class name, lower case: `LeftEar`, `left-ear` and `left_ear` are the same two."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", spaced.lower())


def is_ear(name: str) -> bool:
    """Whether a class is an ear by its name and nothing else by it: `human ear`, but no `ear tag`."""
    words = set(words_of(name))
    return bool(words & EAR_WORDS) and words <= EAR_WORDS | _BESIDE


def side_of(name: str) -> str:
    """ "left", "right", or "" where the name says neither or both."""
    sides = {SIDE_WORDS[word] for word in words_of(name) if word in SIDE_WORDS}
    return sides.pop() if len(sides) == 1 else ""


def _asked_for(counts: Mapping[str, int], wanted: str, where: object) -> set[str]:
    asked = [wanted] if wanted in counts else [word.strip() for word in wanted.split(",") if word.strip()]
    by_case = {name.casefold(): name for name in counts}
    taken = set()
    for word in asked:
        if word not in counts and word.casefold() not in by_case:
            raise UserError(
                f"{where}: no class {word!r}; there are {_listed(counts, counts)}."
                f"{did_you_mean(word, filter(None, counts))}"
            )
        taken.add(word if word in counts else by_case[word.casefold()])
    return taken


def _named_like_ears(counts: Mapping[str, int], where: object) -> set[str]:
    ears = {name for name in counts if is_ear(name)}
    # CelebAMask-HQ calls the earring `ear_r`, beside `l_ear` and `r_ear`
    last = {name for name in ears if len(words_of(name)) == 2 and words_of(name)[1] in ("l", "r")}
    first = {name for name in ears if len(words_of(name)) == 2 and words_of(name)[0] in ("l", "r")}
    if len(last) == 1 and first:
        return ears - last
    if len(last) == 1 and ears == last:
        raise UserError(
            f"{where}: class {next(iter(last))!r} is an ear of one side in some sets and the earring in "
            f"CelebAMask-HQ; there are {_listed(counts, counts)}. Say which with --category."
        )
    if not ears:
        raise UserError(
            f"{where}: no class is named ear, left ear or the like; there are {_listed(counts, counts)}. "
            "--category NAME reads another."
        )
    return ears


def _listed(counts: Mapping[str, int], names: object) -> str:
    return ", ".join(f"{name or NO_NAME} ({counts[name]:,})" for name in sorted(names)) or "none"
