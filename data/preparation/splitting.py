"""Parts to training, validation and test, in whole photographs and sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from configs.errors import UserError
from data.formats.drops import Drops
from data.manifest import Manifest, sources_of
from data.preparation.checks import ImageFacts
from data.preparation.own_split import print_own_split
from data.preparation.parts import Part
from data.preparation.same_photograph import Photographs
from data.preparation.sides import SIDES, Item, choose_sides, grouped, source_of_path

GIVEN_ELSEWHERE = "its photograph or source is also in --val-input or --test-input"
ON_ANOTHER_SIDE = "its photograph or source is also on another side of the data set's own split"


@dataclass(frozen=True)
class SplitOptions:
    """How ears are split into training, validation and test."""

    val_fraction: float = 0.1
    """Share of the ears that goes to validation, in whole sources."""
    test_fraction: float = 0.1
    """Share of the ears that goes to the test."""
    seed: int = 0
    """Of the split."""
    resplit: bool = False
    """Split anew what has a split of its own: a YOLO data.yaml, folders or inputs named train, val, test."""

    def __post_init__(self) -> None:
        """Raises UserError for shares that leave nothing to train on."""
        for name in ("val_fraction", "test_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: must be at least 0 and below 1."
                )
        if self.val_fraction + self.test_fraction >= 1:
            raise UserError("--val-fraction and --test-fraction together leave nothing to train on.")


def split_parts(
    parts: Sequence[Part],
    facts: Mapping[str, ImageFacts],
    photographs: Photographs,
    source_pattern: str,
    options: SplitOptions,
    drops: Drops,
) -> dict[str, list[Part]]:
    """Side -> the parts of each part that lie there, those with at least an ear or an image.

    facts: of every image. source_pattern: finds the source of images without ears in their paths. A side that
    was given takes nothing else, and the sides of a data set's own split are given unless `options.resplit`;
    what shares a photograph or source with another such side goes into `drops`. Raises UserError for too few
    photographs, and for a side given twice, by the data set and by --val-input or --test-input.
    """
    print_own_split(parts, kept=not options.resplit)
    if options.resplit:
        parts = [replace(part, own_sides={}) for part in parts]
    _require_one_giver(parts)
    items, fixed = [], []
    for part in parts:
        sources = [
            *sources_of(part.manifest).tolist(),
            *(source_of_path(path, source_pattern) for path in part.manifest.empty_images.tolist()),
        ]
        for path, source in zip(part.image_paths, sources, strict=True):
            items.append(Item(path, source, facts[path].digest, photographs.names[path]))
            fixed.append(part.side or part.own_sides.get(path))
    given = {part.side for part in parts}
    val_fraction = 0.0 if "val" in given else options.val_fraction
    test_fraction = 0.0 if "test" in given else options.test_fraction
    groups = grouped(items, photographs.alike)
    chosen = choose_sides(groups, fixed, val_fraction, test_fraction, options.seed)
    sources = _sources_of_groups(items, groups)
    lost = ON_ANOTHER_SIDE if any(part.own_sides for part in parts) else GIVEN_ELSEWHERE
    sides: dict[str, list[Part]] = {side: [] for side in SIDES}
    start = 0
    for part in parts:
        ears, empties = len(part.manifest), len(part.manifest.empty_images)
        of_ears = chosen[start : start + ears]
        of_empties = chosen[start + ears : start + ears + empties]
        manifest_of_part = _with_sources(part.manifest, sources[start : start + ears])
        start += ears + empties
        for path in [
            *part.manifest.image_paths[of_ears == ""],
            *part.manifest.empty_images[of_empties == ""],
        ]:
            drops.add(lost, str(path))
        for side in SIDES:
            manifest = manifest_of_part.select(of_ears == side)
            manifest = replace(manifest, empty_images=part.manifest.empty_images[of_empties == side])
            if len(manifest) or len(manifest.empty_images):
                sides[side].append(replace(part, manifest=manifest))
    return sides


def _require_one_giver(parts: Sequence[Part]) -> None:
    """Raises UserError where a side is given by the data set itself and by --val-input or --test-input."""
    own = {side for part in parts if not part.side for side in part.own_sides.values()}
    twice = sorted(own & {part.side for part in parts})
    if twice:
        raise UserError(
            f"--{twice[0]}-input is given, but the data set of --input has a split of its own, with a side "
            f"{twice[0]}. Leave --{twice[0]}-input out, or add --resplit, which splits the data set anew."
        )


def _sources_of_groups(items: Sequence[Item], groups: np.ndarray) -> np.ndarray:
    """(N,) str: the source of the first item of each item's group."""
    first: dict[int, str] = {}
    found = [first.setdefault(group, item.source) for group, item in zip(groups.tolist(), items, strict=True)]
    return np.array(found, dtype=str)


def _with_sources(manifest: Manifest, sources: np.ndarray) -> Manifest:
    """With these sources, where they say more than the manifest: versions of a photograph have one source."""
    if (sources == sources_of(manifest)).all():
        return manifest
    return replace(manifest, sources=sources)
