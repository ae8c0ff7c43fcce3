"""From what a file says to a manifest: classes chosen, pictures found, points paired, faults listed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from configs.errors import UserError
from data.formats.options import ReadOptions
from data.formats.rules.classes import Chosen, choose_classes
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.pairing import pair
from data.formats.rules.picture_size import Fit, Seen, fit, look_at, turns_ignored
from data.formats.rules.records import Ear, Picture
from data.manifest import NOT_ANNOTATED, Manifest

OTHER_CLASS = "annotation of another class"
_ALWAYS_BOXLESS = ("pts", "deeplabcut")  # formats in which no ear has a box
_WITHOUT_CLASSES = (*_ALWAYS_BOXLESS, "predictions")


def manifest_of(
    pictures: Sequence[Picture],
    path: Path,
    options: ReadOptions,
    notes: Notes,
    finder: ImageFinder,
    format_name: str,
    classes: Iterable[str] = (),
) -> Manifest:
    """The ears of all pictures as a manifest; pictures without annotations of an ear become empty images.

    path: of the annotations, for messages. classes: that the file lists, whether anything is of them or not.
    Raises UserError where the classes, or the numbers of points, leave a doubt about the whole file.
    """
    chosen, pictures = _of_chosen_classes(pictures, path, options, notes, classes)
    if chosen.line and not (chosen.names == {""} and format_name in _WITHOUT_CLASSES):
        notes.lines.append(chosen.line)
    found = finder.find_all((picture.name, picture.stem) for picture in pictures)
    located = []
    for picture in pictures:
        image = found[picture.name, picture.stem]
        if isinstance(image, UserError):
            notes.drops.add("picture that cannot be told", str(image), max(1, len(picture.ears)))
            continue
        named = picture.name.replace("\\", "/")
        if os.path.isfile(image) and not str(image).endswith(named.removeprefix("./")):
            notes.changes.add("picture found by the end of its path", f"{picture.name} is {image}")
        located.append((str(image), picture))
    fits = _fits(located, notes)
    rows: list[tuple[str, Ear]] = []
    images: dict[str, None] = {}
    for (image, picture), fitted in zip(located, fits, strict=True):
        if isinstance(fitted, UserError):
            notes.drops.add(str(fitted), image, max(1, len(picture.ears)))
            notes.spoilt_images.add(image)
            continue
        images[image] = None
        for ear in pair(picture.ears, picture.loose):
            fault = ear.fault or _fault_of_names(ear)
            fault = fault or ("" if ear.label not in chosen.other_side else "an ear of the other side")
            fitted_ear = ear if fault else _fitted(ear, fitted)
            if not fault and fitted_ear.box_xyxy is None:
                fault = "annotation without a box"
            if fault:
                wanted = ear.label in chosen.other_side
                notes.drops.add(fault, f"{image} ({ear.where})", wanted=wanted)
                notes.spoilt_images.add(image)
                continue
            if ear.box_xyxy is None and format_name not in _ALWAYS_BOXLESS:
                notes.changes.add("no box, drawn round the points", f"{image} ({ear.where})")
            rows.append((image, fitted_ear))
    landmarks, visibility, rows = _landmarks(rows, path, notes)
    occupied = {image for image, _ in rows} | notes.spoilt_images
    scores = [ear.score for _, ear in rows]
    return Manifest(
        image_paths=np.array([image for image, _ in rows], dtype=str),
        boxes_xyxy=np.array([ear.box_xyxy for _, ear in rows], dtype=np.float64).reshape(-1, 4),
        landmarks=landmarks,
        visibility=visibility,
        sources=np.array([ear.source for _, ear in rows], dtype=str) if options.source_key else None,
        empty_images=np.array([image for image in images if image not in occupied], dtype=str),
        scores=None
        if all(score is None for score in scores)
        else np.array([1.0 if score is None else score for score in scores], dtype=np.float32),
    )


def _of_chosen_classes(
    pictures: Sequence[Picture], path: Path, options: ReadOptions, notes: Notes, classes: Iterable[str]
) -> tuple[Chosen, list[Picture]]:
    """The classes that are read, and the pictures without the annotations of others."""
    counts = Counter(dict.fromkeys(classes, 0))
    counts.update(ear.label for picture in pictures for ear in picture.ears)
    if not counts and any(picture.loose for picture in pictures):
        counts[""] = 0
    chosen = choose_classes(counts, options.category, options.side, path)
    read = chosen.names | chosen.other_side
    kept = []
    for picture in pictures:
        ears = [ear for ear in picture.ears if ear.label in read]
        others = [ear for ear in picture.ears if ear.label not in read]
        for ear in others:
            notes.drops.add(OTHER_CLASS, f"{ear.where}: {ear.label}", wanted=True)
        foreign = {ear.group for ear in others if ear.group} - {ear.group for ear in ears}
        loose = [point for point in picture.loose if point.group not in foreign]
        if len(loose) < len(picture.loose):
            notes.drops.add(
                "point of another class", picture.name, len(picture.loose) - len(loose), wanted=True
            )
        kept.append(replace(picture, ears=ears, loose=loose) if others else picture)
    return chosen, kept


def _fits(located: Sequence[tuple[str, Picture]], notes: Notes) -> list[Fit | UserError]:
    """How each picture's annotations come to its pixels, or why not."""
    seen: dict[str, Seen | UserError] = {}
    for image, _ in located:
        if image not in seen:
            try:
                seen[image] = look_at(Path(image))
            except UserError as error:
                seen[image] = UserError("unreadable image: " + str(error).removeprefix(f"{image}: "))
    known = [(picture.size, look) for image, picture in located if isinstance(look := seen[image], Seen)]
    ignored = turns_ignored([size for size, _ in known], [look for _, look in known])
    fits: list[Fit | UserError] = []
    for image, picture in located:
        look = seen[image]
        if isinstance(
            look, UserError
        ):  # the check of all images says what is wrong, if its numbers need no size
            fits.append(look if picture.fractions else Fit((1.0, 1.0), Seen(0, 0), False, ""))
            continue
        try:
            fitted = fit(picture.size, look, ignored, picture.fractions)
        except UserError as error:
            fits.append(error)
            continue
        if fitted.change and (picture.ears or picture.loose):
            notes.changes.add(fitted.change, image, max(1, len(picture.ears)))
        fits.append(fitted)
    return fits


def _fault_of_names(ear: Ear) -> str:
    """Why the names of an ear's points cannot be theirs; "" where they can, or where there are none."""
    if ear.points is None or ear.point_names is None:
        return ""
    if len(ear.point_names) != len(ear.points):
        return f"{len(ear.points)} points with {len(ear.point_names)} names"
    return "" if len(set(ear.point_names)) == len(ear.point_names) else "two points of the same name"


def _fitted(ear: Ear, fitted: Fit) -> Ear:
    points, box = ear.points, ear.box_xyxy
    plain = fitted.scale == (1.0, 1.0) and not fitted.turned
    if plain and box is not None:
        return ear
    if points is not None and not plain:
        points = np.column_stack([fitted.points(points[:, :2]), points[:, 2]])
    if box is not None:
        box = fitted.boxes(box)
    elif points is not None:
        box = box_round(points)
    return replace(ear, points=points, box_xyxy=box)


def box_round(points: np.ndarray) -> list[float] | None:
    """The extent of the annotated of (K, 3) points, as edges; None where that has no area."""
    known = points[(points[:, 2] > NOT_ANNOTATED) & np.isfinite(points).all(axis=1), :2]
    if len(known) < 2:
        return None
    low, high = (
        known.min(axis=0) + 0.5,
        known.max(axis=0) + 0.5,
    )  # points to the scale of boxes, see data.crops
    return [*low.tolist(), *high.tolist()] if (high > low).all() else None


def _landmarks(
    rows: list[tuple[str, Ear]], path: Path, notes: Notes
) -> tuple[np.ndarray | None, np.ndarray | None, list[tuple[str, Ear]]]:
    """(N, K, 2) px, (N, K) and the rows; None, None where no ear has points.

    Points of several orders of names are brought to one. An ear with another number of points than most is
    left out.
    """
    with_points = [ear for _, ear in rows if ear.points is not None]
    if not with_points:
        return None, None, rows
    orders = Counter(ear.point_names for ear in with_points)
    names = None if orders[None] * 2 > len(with_points) else _joined_names(orders)
    expected = (
        len(names) if names else _usual_count([ear for ear in with_points if ear.point_names is None], path)
    )
    kept = []
    for image, ear in rows:
        reason = ""
        if ear.points is not None and (ear.point_names is None) != (names is None):
            reason = "points with names, where most have none" if names is None else "points without names"
        elif ear.points is not None and names is None and len(ear.points) != expected:
            reason = f"{len(ear.points)} points where most have {expected}"
        if reason:
            notes.drops.add(reason, f"{image} ({ear.where})")
            notes.spoilt_images.add(image)
        else:
            kept.append((image, ear))
    values = np.zeros((len(kept), expected, 3))
    places = {order: [names.index(name) for name in order] for order in orders if order} if names else {}
    for row, (_, ear) in enumerate(kept):
        if ear.points is not None:
            values[row, places.get(ear.point_names, slice(None))] = ear.points
    notes.point_names = names
    return values[..., :2], values[..., 2], kept


def _usual_count(ears: Sequence[Ear], path: Path) -> int:
    """The number of points that most ears have. Raises UserError where no number is that of most."""
    counts = Counter(len(ear.points) for ear in ears)
    expected, most = counts.most_common(1)[0]
    if len(counts) > 1 and most * 2 <= len(ears):
        examples = {len(ear.points): ear.where for ear in reversed(ears)}
        found = ", ".join(f"{count} in {examples[count]}" for count in sorted(counts, reverse=True))
        raise UserError(f"{path}: the ears must agree in the number of points, found {found}.")
    return expected


def _joined_names(orders: Counter) -> tuple[str, ...]:
    """All names in the order of the most frequent list, what only others have behind."""
    return tuple(dict.fromkeys(name for order, _ in orders.most_common() for name in order or ()))
