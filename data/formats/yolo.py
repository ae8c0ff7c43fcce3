"""YOLO: a text file an image, a line an ear: class, centre x, y, width, height, in fractions."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import yaml

from configs.errors import UserError
from configs.files import full_disk_is_a_user_error, write_atomic
from data.formats.drops import Drops
from data.formats.options import ReadOptions, chosen_categories
from data.formats.yolo_layout import label_file, read_layout
from data.images import image_size
from data.manifest import Manifest


def read(path: Path, options: ReadOptions, drops: Drops) -> Manifest:
    """Boxes. Images with an empty label file, or with none, hold no ear."""
    return read_labels(path, options, drops, with_points=False)


def write(path: Path, manifest: Manifest) -> Path:
    """The folder `path` with images/ (links to the images), labels/ and data.yaml."""
    return write_labels(path, manifest, with_points=False)


def read_labels(path: Path, options: ReadOptions, drops: Drops, with_points: bool) -> Manifest:
    """Boxes, and key points when asked for; raises UserError naming file and line of what is not a label."""
    layout = read_layout(path)
    for image in layout.listing.unlisted if layout.listing else ():
        drops.add("image that no entry of data.yaml lists", str(image))
    chosen = chosen_categories(layout.names, options.category, path) if layout.names else None
    images: list[str] = []
    boxes: list[np.ndarray] = []
    points: list[np.ndarray] = []
    empty: list[str] = []
    shape = layout.points
    for image in layout.images:
        lines = _label_lines(label_file(image), chosen, drops)
        if not lines:
            empty.append(str(image))
            continue
        try:
            height, width = image_size(image)
        except UserError as error:
            drops.add_image(str(image), error, len(lines))
            continue
        for where, numbers in lines:
            if with_points:
                shape = shape or _point_shape(numbers, where)
                points.append(_points(numbers, shape, where, width, height))
            elif len(numbers) != 4:
                raise UserError(
                    f"{where}: expected class and 4 numbers, found {len(numbers)}; is it yolo-pose?"
                )
            centre, sides = numbers[:2], numbers[2:4]
            images.append(str(image))
            boxes.append(
                np.concatenate([centre - sides / 2, centre + sides / 2]) * [width, height, width, height]
            )
    landmarks = np.stack(points) if points else None
    return Manifest(
        image_paths=np.array(images, dtype=str),
        boxes_xyxy=np.array(boxes).reshape(-1, 4),
        landmarks=None if landmarks is None else landmarks[..., :2],
        visibility=None if landmarks is None else landmarks[..., 2],
        empty_images=np.array(empty, dtype=str),
    )


def write_labels(folder: Path, manifest: Manifest, with_points: bool) -> Path:
    """images/ with links (copies where links are not allowed), labels/ and data.yaml."""
    if with_points and manifest.landmarks is None:
        raise UserError(f"{folder}: yolo-pose needs landmarks, the manifest has none.")
    rows_of: dict[str, list[int]] = {
        str(path): [] for path in [*manifest.image_paths, *manifest.empty_images]
    }
    for row, path in enumerate(manifest.image_paths):
        rows_of[str(path)].append(row)
    with full_disk_is_a_user_error(folder):
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for name, (image, rows) in zip(unique_names(list(rows_of)), rows_of.items(), strict=True):
            link_image(Path(image), folder / "images" / name)
            height, width = image_size(image)
            lines = [_line(manifest, row, width, height, with_points) for row in rows]
            (folder / "labels" / name).with_suffix(".txt").write_text("".join(lines), encoding="utf-8")
    description = {"train": "images", "val": "images", "names": {0: "ear"}}
    if with_points:
        description["kpt_shape"] = [manifest.landmarks.shape[1], 3]
    text = yaml.safe_dump(description, sort_keys=False)
    write_atomic(folder / "data.yaml", lambda path: path.write_text(text, encoding="utf-8"))
    return folder


def unique_names(images: list[str]) -> list[str]:
    """A file name for each image, its folder's name in front where two would be alike but for the suffix."""
    stems = [Path(image).stem for image in images]
    names: list[str] = []
    taken: set[str] = set()
    for image, stem in zip(images, stems, strict=True):
        name = stem if stems.count(stem) == 1 else f"{Path(image).parent.name}_{stem}"
        while name in taken:
            name += "_"
        taken.add(name)
        names.append(name + Path(image).suffix)
    return names


def link_image(image: Path, link: Path) -> None:
    """A symbolic link to the image, or a copy where the file system has no links."""
    link.unlink(missing_ok=True)
    try:
        os.symlink(image.absolute(), link)
    except OSError:
        shutil.copyfile(image, link)


def _label_lines(file: Path, chosen: set[int] | None, drops: Drops) -> list[tuple[str, np.ndarray]]:
    """(where, numbers after the class) of each ear in a label file, which need not exist."""
    if not file.is_file():
        return []
    lines = []
    for number, text in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not text.strip():
            continue
        where = f"{file} line {number}"
        try:
            values = [float(word) for word in text.split()]
            category = int(values[0])
        except (ValueError, OverflowError):
            raise UserError(f"{where}: not a YOLO label: {text.strip()[:60]!r}.") from None
        if len(values) < 5:
            raise UserError(f"{where}: expected class and at least 4 numbers, found {len(values)} words.")
        if chosen is not None and category not in chosen:
            drops.add("annotation of another class", where)
        else:
            lines.append((where, np.array(values[1:])))
    return lines


def _point_shape(numbers: np.ndarray, where: str) -> tuple[int, int]:
    """(K, 2 or 3) inferred from the first label, for a data.yaml without kpt_shape."""
    count = len(numbers) - 4
    if count > 0 and count % 3 == 0 and np.isin(numbers[6::3], (0, 1, 2)).all():
        return count // 3, 3
    if count > 0 and count % 2 == 0:
        return count // 2, 2
    raise UserError(f"{where}: {len(numbers)} numbers are no box and points; set kpt_shape in data.yaml.")


def _points(numbers: np.ndarray, shape: tuple[int, int], where: str, width: int, height: int) -> np.ndarray:
    """(K, 3): x, y px (pixel centres at integers) and visibility."""
    count, words = shape
    if len(numbers) != 4 + count * words:
        raise UserError(
            f"{where}: {len(numbers) - 4} numbers after the box, "
            f"expected {count} points of {words} = {count * words}."
        )
    values = numbers[4:].reshape(count, words)
    if words == 2:  # without visibility, the corner (0, 0) stands for what is not annotated
        values = np.column_stack([values, 2.0 * (values != 0).any(axis=1)])
    return values * [width, height, 1] - [0.5, 0.5, 0]


def _line(manifest: Manifest, row: int, width: int, height: int, with_points: bool) -> str:
    x1, y1, x2, y2 = manifest.boxes_xyxy[row].astype(float) / [width, height, width, height]
    words = ["0", *(f"{value:.6f}" for value in ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1))]
    if with_points:
        for (x, y), seen in zip(manifest.landmarks[row], manifest.visibility[row], strict=True):
            place = ((x + 0.5) / width, (y + 0.5) / height) if seen else (0, 0)
            words += [f"{place[0]:.6f}", f"{place[1]:.6f}", str(int(seen))]
    return " ".join(words) + "\n"
