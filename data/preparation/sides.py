"""Split into training, validation and test so that no photograph or person stands on two sides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from configs.errors import UserError

SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Item:
    """One ear or one image without: what it must not be separated from.

    source: of the ear, a person or a photograph; photograph: what `photograph_names` gives for the image.
    """

    image: str
    source: str
    digest: str
    photograph: str = ""


def source_of_path(path: str, pattern: str) -> str:
    """What the regular expression `pattern` finds in a path (its first group, if it has one); the path if
    nothing.

    Raises UserError for a broken pattern.
    """
    if not pattern:
        return path
    try:
        found = re.search(pattern, path)
    except re.error as error:
        raise UserError(f"--source-pattern {pattern!r} is not a regular expression: {error}.") from None
    if found is None:
        return path
    return found.group(1) if found.re.groups and found.group(1) is not None else found.group(0)


def grouped(items: Sequence[Item], alike: Iterable[tuple[str, str]] = ()) -> np.ndarray:
    """(N,) group number of each item: the same image, bytes, source or photograph are one group.

    alike: digests of two images that show the same. Transitive: if A shares the person with B and B the
    photograph with C, all three are one group.
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    for item in items:
        first = root(("image", item.image))
        for key in (("source", item.source), ("bytes", item.digest), ("photograph", item.photograph)):
            if key[1]:
                parent[root(key)] = first
    for first_digest, second_digest in alike:
        parent[root(("bytes", first_digest))] = root(("bytes", second_digest))
    numbers: dict[tuple[str, str], int] = {}
    return np.array(
        [numbers.setdefault(root(("image", item.image)), len(numbers)) for item in items], dtype=int
    )


def choose_sides(
    groups: np.ndarray, fixed: Sequence[str | None], val_fraction: float, test_fraction: float, seed: int
) -> np.ndarray:
    """(N,) "train", "val" or "test"; "" for an item to drop, because its group was given to another side.

    fixed: the side an item was given, or None for those to be split, which may join a group that is given to
    train. Whole groups, drawn by `seed`, go to test and val until these hold about their fraction of the
    items to be split. Raises UserError for too few groups.
    """
    given: dict[int, str] = {}
    for side in reversed(SIDES):  # what is given for training and test is for the test
        for group, fixed_side in zip(groups.tolist(), fixed, strict=True):
            if fixed_side == side:
                given.setdefault(group, side)
    drawn = _drawn_sides(
        groups[[group not in given for group in groups.tolist()]], val_fraction, test_fraction, seed
    )
    sides = [given.get(group) or drawn[group] for group in groups.tolist()]
    wanted = [
        fixed_side or (side if given.get(group, "train") == "train" else "")
        for group, fixed_side, side in zip(groups.tolist(), fixed, sides, strict=True)
    ]
    return np.array(
        [side if side == want else "" for side, want in zip(sides, wanted, strict=True)], dtype="<U5"
    )


def _drawn_sides(groups: np.ndarray, val_fraction: float, test_fraction: float, seed: int) -> dict[int, str]:
    """group -> side, for the groups (N,) of the items to be split."""
    names, counts = np.unique(groups, return_counts=True)
    size_of = dict(zip(names.tolist(), counts.tolist(), strict=True))
    left = [int(names[place]) for place in np.random.default_rng(seed).permutation(len(names))]
    shares = [(side, part) for side, part in (("test", test_fraction), ("val", val_fraction)) if part > 0]
    if left and len(left) <= len(shares):
        raise UserError(
            f"{len(left)} separate photographs (or sources) cannot be split into train and "
            f"{' and '.join(side for side, _ in shares)}; "
            "set --val-fraction and --test-fraction to 0, or give more."
        )
    sides: dict[int, str] = {}
    for number, (side, part) in enumerate(shares):
        if not left:
            break
        for group in _filling(left, size_of, part * len(groups), keep=len(shares) - number):
            sides[group] = side
            left.remove(group)
    return sides | dict.fromkeys(left, "train")


def _filling(order: list[int], size_of: dict[int, int], target: float, keep: int) -> list[int]:
    """Groups that together have about `target` items: in their order, those that fit; at least the smallest
    one.

    `keep` groups are left over for the other sides.
    """
    chosen: list[int] = []
    taken = 0
    for group in order:
        if len(order) - len(chosen) > keep and taken + size_of[group] / 2 <= target:
            chosen.append(group)
            taken += size_of[group]
    return chosen or [min(order, key=size_of.__getitem__)]
