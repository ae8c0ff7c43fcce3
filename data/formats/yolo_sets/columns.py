"""The lines of YOLO's label files: what their columns are, when nothing says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import UserError
from data.formats.rules.text import read_text, split_numbers
from data.formats.yolo_sets.layout import label_file, read_layout

_SAMPLED_FILES = 500  # label files that are read to see what the columns are
_RARE = 0.05  # lines of other columns below this share are broken ones
_TIGHT = 0.6  # a box round points is hardly wider than they reach
_PARALLEL = 1e-3  # of opposite sides of an oriented box, in fractions of the picture


@dataclass(frozen=True)
class Label:
    """A line: the class and the numbers behind it; fault: why it is none."""

    where: str
    category: int
    numbers: np.ndarray
    fault: str = ""


def label_lines(file: Path) -> list[Label]:
    """The lines of a label file, empty ones left out. Raises UserError for a file that is no text."""
    labels = []
    for number, text in enumerate(read_text(file).splitlines(), start=1):
        if not text.strip():
            continue
        where = f"{file} line {number}"
        try:
            values = np.array([float(word) for word in split_numbers(text)])
            category = int(values[0])
            if category != values[0] or category < 0 or not np.isfinite(values).all():
                raise ValueError
        except (ValueError, OverflowError):
            labels.append(Label(where, -1, np.empty(0), "not a YOLO label"))
            continue
        fault = (
            "" if len(values) >= 5 else f"expected class and at least 4 numbers, found {len(values)} words"
        )
        labels.append(Label(where, category, values[1:], fault))
    return labels


def kind_of(path: Path, image_root: Path | None = None) -> str:
    """ "yolo", "yolo-pose" or "yolo-polygons", as data.yaml or the numbers of the labels say.

    image_root: as of `ReadOptions`. Raises UserError naming all readings where they leave a doubt.
    """
    layout = read_layout(path, image_root)
    if layout.points is not None:
        return "yolo-pose"
    labels: list[Label] = []
    for file in [file for file in map(label_file, layout.images) if file.is_file()][:_SAMPLED_FILES]:
        try:
            labels += [label for label in label_lines(file) if not label.fault]
        except UserError:  # the reader lists it
            continue
    counts = Counter(len(label.numbers) for label in labels)
    other = {count: lines for count, lines in counts.items() if count != 4}
    if sum(other.values()) <= _RARE * len(labels):
        return "yolo"
    many = [count for count, lines in other.items() if lines > _RARE * sum(other.values())]
    if many == [5] and all(0 <= label.numbers[4] <= 1 for label in labels if len(label.numbers) == 5):
        return "yolo"
    if len(many) > 1 and all(count % 2 == 0 for count in many):
        return "yolo-polygons"  # of differing numbers of corners
    if len(many) == 1 and (
        kind := _kind_of_columns([lb.numbers for lb in labels if len(lb.numbers) == many[0]])
    ):
        return kind
    readings = "; ".join(
        f"{count} numbers after the class may be {_readings(count)}" for count in sorted(many)
    )
    example = next(label.where for label in labels if len(label.numbers) in many)
    raise UserError(
        f"{path}: {readings} (e.g. {example}). Say it with kpt_shape: [points, 2 or 3] in data.yaml, or with "
        "--format yolo, yolo-pose or yolo-polygons."
    )


def point_shape(labels: Sequence[Label]) -> tuple[int, int]:
    """(K, 2 or 3) of the points behind most boxes, for a data.yaml without kpt_shape.

    Raises UserError where the numbers are no box and points.
    """
    longer = [label for label in labels if not label.fault and len(label.numbers) > 5]
    if not longer:
        where = labels[0].where if labels else "the labels"
        raise UserError(f"{where}: no points behind any box; set kpt_shape in data.yaml, or --format yolo.")
    length = Counter(len(label.numbers) for label in longer).most_common(1)[0][0]
    count, rows = length - 4, np.array([label.numbers for label in longer if len(label.numbers) == length])
    if count % 3 == 0 and np.isin(rows[:, 6::3], (0, 1, 2)).all():
        return count // 3, 3
    if count % 2 == 0:
        return count // 2, 2
    raise UserError(f"{longer[0].where}: {length} numbers are no box and points; set kpt_shape in data.yaml.")


def _kind_of_columns(rows: Sequence[np.ndarray]) -> str:
    """What lines of one length are, by what the numbers could be; "" where that is no certainty."""
    values = np.stack(rows)
    count = values.shape[1]
    if (count - 4) % 3 == 0 and np.isin(values[:, 6::3], (0, 1, 2)).all() and values[:, 6::3].any():
        return "yolo-pose"
    if count < 6 or count % 2:
        return ""
    corners = values.reshape(len(values), -1, 2)
    if count == 8 and (abs(corners[:, 0] + corners[:, 2] - corners[:, 1] - corners[:, 3]) < _PARALLEL).all():
        return "yolo-polygons"
    inside, tight = _points_in_boxes(values)
    if inside.mean() < 0.5:
        return "yolo-polygons"
    return "yolo-pose" if tight.mean() > 1 - _RARE else ""


def _points_in_boxes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) bool: read as box and points of x, y, the points lie in the box; and reach nearly to its sides."""
    centre, sides = values[:, None, :2], values[:, None, 2:4]
    points = values[:, 4:].reshape(len(values), -1, 2)
    there = (points != 0).any(axis=2)
    inside = ((abs(points - centre) <= 0.55 * sides).all(axis=2) | ~there).all(axis=1) & there.any(axis=1)
    high = np.where(there[..., None], points, -np.inf).max(axis=1)
    low = np.where(there[..., None], points, np.inf).min(axis=1)
    tight = inside & (high - low > _TIGHT * sides[:, 0]).all(axis=1)
    return inside, tight


def _readings(count: int) -> str:
    found = ["a box with confidence"] if count == 5 else []
    if count > 6 and (count - 4) % 3 == 0:
        found.append(f"a box and {(count - 4) // 3} points of x, y, visibility")
    if count >= 6 and count % 2 == 0:
        found += [f"a box and {(count - 4) // 2} points of x, y", f"a polygon of {count // 2} corners"]
    if count == 8:
        found.append("an oriented box")
    if count >= 7 and count % 2:
        found.append(f"a polygon of {count // 2} corners with confidence")
    return " or ".join(found) or "nothing that is known"
