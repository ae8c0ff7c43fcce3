"""Parts to training, validation and test, in whole photographs and sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from configs.errors import UserError
from data.formats.drops import Drops
from data.manifest import sources_of
from data.preparation.checks import ImageFacts
from data.preparation.parts import Part
from data.preparation.sides import SIDES, Item, choose_sides, grouped, source_of_path


@dataclass(frozen=True)
class SplitOptions:
    """How ears are split into training, validation and test."""

    val_fraction: float = 0.1
    """Share of the ears that goes to validation, in whole sources."""
    test_fraction: float = 0.1
    """Share of the ears that goes to the test."""
    seed: int = 0
    """Of the split."""

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
    source_pattern: str,
    options: SplitOptions,
    drops: Drops,
) -> dict[str, list[Part]]:
    """Side -> the parts of each part that lie there, those with at least an ear or an image.

    facts: of every image. source_pattern: finds the source of images without ears in their paths. A side that
    was given takes nothing else; what shares a photograph or source with it goes into `drops`. Raises
    UserError for too few photographs.
    """
    items, fixed = [], []
    for part in parts:
        sources = [
            *sources_of(part.manifest).tolist(),
            *(source_of_path(path, source_pattern) for path in part.manifest.empty_images.tolist()),
        ]
        for path, source in zip(part.image_paths, sources, strict=True):
            items.append(Item(path, source, facts[path].digest))
        fixed += [part.side or None] * len(sources)
    given = {part.side for part in parts}
    val_fraction = 0.0 if "val" in given else options.val_fraction
    test_fraction = 0.0 if "test" in given else options.test_fraction
    chosen = choose_sides(grouped(items), fixed, val_fraction, test_fraction, options.seed)
    sides: dict[str, list[Part]] = {side: [] for side in SIDES}
    start = 0
    for part in parts:
        ears, empties = len(part.manifest), len(part.manifest.empty_images)
        of_ears = chosen[start : start + ears]
        of_empties = chosen[start + ears : start + ears + empties]
        start += ears + empties
        for path in [
            *part.manifest.image_paths[of_ears == ""],
            *part.manifest.empty_images[of_empties == ""],
        ]:
            drops.add("its photograph or source is also in --val-input or --test-input", str(path))
        for side in SIDES:
            manifest = part.manifest.select(of_ears == side)
            manifest = replace(manifest, empty_images=part.manifest.empty_images[of_empties == side])
            if len(manifest) or len(manifest.empty_images):
                sides[side].append(replace(part, manifest=manifest))
    return sides
