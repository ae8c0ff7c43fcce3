"""Points brought to the scheme's order by their names; by their place only where names say nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from configs.errors import UserError, did_you_mean
from data.formats.drops import Drops
from data.landmarks import Scheme
from data.manifest import Manifest

# What stands before the number where points are only counted: `p3`, `point 3`, `keypoint_3`, `ear-3`.
_COUNTED = re.compile(r"(?:p|pt|kp|pnt|point|keypoint|landmark|lm|joint|node|ear|label|bodypart)?(\d+)")


def in_scheme_order(
    manifest: Manifest, names: Sequence[str] | None, scheme: Scheme, where: object, changes: Drops
) -> Manifest:
    """A manifest whose points have `names` with those of the scheme, in its order.

    Points that the scheme has and the file has not are not annotated. Names that only count give the order;
    no names change nothing. What was done goes into `changes`. Raises UserError for names that are not the
    scheme's.
    """
    if names is None or manifest.landmarks is None:
        return manifest
    if (counted := _counts(names)) is not None:
        order = np.argsort(counted, kind="stable").tolist()
        if order != list(range(len(names))):
            changes.add(
                "points sorted by the numbers in their names", f"{where}: {', '.join(names)}", len(manifest)
            )
        return _picked(manifest, order)
    place_of = {_plain(name): place for place, name in enumerate(names)}
    wanted = [_plain(name) for name in scheme.names]
    unknown = [name for name in names if _plain(name) not in wanted]
    missing = [name for name in scheme.names if _plain(name) not in place_of]
    if len(place_of) < len(names):
        raise UserError(f"{where}: two points have the same name: {', '.join(names)}.")
    if len(missing) == len(wanted) or (unknown and missing):
        raise UserError(_not_the_schemes(names, unknown, missing, scheme, where))
    for reason, points in (
        ("point not in the scheme, left out", unknown),
        ("point not in the file", missing),
    ):
        for point in points:
            changes.add(f"{reason}: {point}", str(where), len(manifest))
    order = [place_of.get(name, -1) for name in wanted]
    if not unknown and not missing and order != list(range(len(names))):
        changes.add(
            "points put into the scheme's order by their names", f"{where}: {', '.join(names)}", len(manifest)
        )
    return _picked(manifest, order)


def names_and_edges(manifest: Manifest) -> tuple[list[str], list[tuple[int, int]]]:
    """What a manifest's points are called and which are joined; numbered where they are not its scheme's."""
    scheme, count = manifest.crops.scheme, manifest.landmarks.shape[1]
    if len(scheme) == count:
        return list(scheme.names), scheme.edges()
    return [f"point {index}" for index in range(count)], []


def _picked(manifest: Manifest, order: Sequence[int]) -> Manifest:
    """The points at these places; -1 for one that is not annotated."""
    places = np.asarray(order)
    visibility = np.where(places < 0, 0, manifest.visibility[:, places])
    return replace(manifest, landmarks=manifest.landmarks[:, places], visibility=visibility)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()


def _counts(names: Sequence[str]) -> list[int] | None:
    """The numbers of names that only count."""
    found = [_COUNTED.fullmatch(_plain(name).replace(" ", "")) for name in names]
    numbers = [int(match[1]) for match in found if match]
    return numbers if len(numbers) == len(names) == len(set(numbers)) else None


def _not_the_schemes(
    names: Sequence[str], unknown: Sequence[str], missing: Sequence[str], scheme: Scheme, where: object
) -> str:
    near = did_you_mean(unknown[0], missing) if unknown and len(missing) < len(scheme) else ""
    by_place = " --points as-is takes them in their order." if len(names) == len(scheme) else ""
    return (
        f"{where}: its points are called {', '.join(names[:20])}; the scheme's are "
        f"{', '.join(scheme.names)}.{near} Rename them, or describe them by --scheme FILE.{by_place}"
    )
