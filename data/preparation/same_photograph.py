"""Which images are of one photograph: by their bytes, by their names, by what they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.preparation.checks import ImageFacts
from data.preparation.photograph_names import photograph_names
from data.preparation.sides import Item, grouped

LARGE_GROUP = 0.1  # of all images, from which on the size of the largest group is said


@dataclass(frozen=True)
class Photographs:
    """names: image -> the name of its photograph, as of `photograph_names`. alike: digests of images, in
    pairs, that show the same. images, photographs: how many there are; copies, by_name, by_looks: how many
    images joined another's photograph by their bytes, name and looks, in this order. largest: images of one
    photograph.
    """

    names: Mapping[str, str]
    alike: list[tuple[str, str]]
    images: int
    photographs: int
    copies: int
    by_name: int
    by_looks: int
    largest: int

    def __str__(self) -> str:
        """One line for people."""
        line = (
            f"{self.images:,} images are {self.photographs:,} photographs: {self.copies:,} are copies by "
            f"their bytes, {self.by_name:,} versions by their names, {self.by_looks:,} look like another"
        )
        if self.largest > max(2, LARGE_GROUP * self.images):
            line += f"; {self.largest:,} count as one photograph"
        return line

    def to_json(self) -> dict[str, int]:
        """The numbers for prepare.json."""
        names = ("images", "photographs", "copies", "by_name", "by_looks", "largest")
        return {name: getattr(self, name) for name in names}


def same_photographs(facts: Mapping[str, ImageFacts]) -> Photographs:
    """Compare all images that could be read. facts: of each."""
    from data.preparation.looks import pairs_alike

    readable = {path: fact for path, fact in facts.items() if not fact.error}
    names = photograph_names(readable)
    looks = {fact.digest: fact.looks for fact in readable.values()}
    digests = list(looks)
    alike = [(digests[first], digests[second]) for first, second in pairs_alike(list(looks.values()))]
    items = [Item(path, "", fact.digest) for path, fact in readable.items()]
    named = [Item(path, "", fact.digest, names[path]) for path, fact in readable.items()]
    groups = [grouped(items), grouped(named), grouped(named, alike)]
    by_bytes, by_name, all_ways = (len(np.unique(found)) for found in groups)
    return Photographs(
        names,
        alike,
        images=len(items),
        photographs=all_ways,
        copies=len(items) - by_bytes,
        by_name=by_bytes - by_name,
        by_looks=by_name - all_ways,
        largest=int(np.bincount(groups[-1]).max(initial=0)),
    )
