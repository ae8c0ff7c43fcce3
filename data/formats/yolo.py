"""YOLO: a text file an image, a line an ear: class, centre x, y, width, height, in fractions."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import yaml

from configs.errors import UserError
from configs.files import whole_folder
from data.formats.options import ReadOptions
from data.formats.rules.assemble import manifest_of
from data.formats.rules.find_image import ImageFinder
from data.formats.rules.notes import Notes
from data.formats.rules.point_names import names_and_edges
from data.formats.rules.records import Ear, Picture
from data.formats.rules.shapes import extent
from data.formats.yolo_sets.columns import Label, label_lines, point_shape
from data.formats.yolo_sets.layout import Layout, label_file, read_layout
from data.images import image_size
from data.manifest import Manifest

EXAMPLE = """data.yaml: names: {0: ear}
images/a.jpg
labels/a.txt: 0 0.2031 0.2604 0.0938 0.1875"""


def read(path: Path, options: ReadOptions, notes: Notes) -> Manifest:
    """Boxes, with their scores where a line has a fifth number. Images with an empty label file, or with
    none, hold no ear.
    """
    return read_labels(path, options, notes, "yolo")


def write(path: Path, manifest: Manifest) -> Path:
    """The folder `path` with images/ (links to the images), labels/ and data.yaml."""
    return write_labels(path, manifest, with_points=False)


def read_labels(path: Path, options: ReadOptions, notes: Notes, kind: str) -> Manifest:
    """The labels of a data set as `kind`: "yolo", "yolo-pose" or "yolo-polygons".

    Lines of other columns are left out. Raises UserError, naming file and line, where all lines are.
    """
    layout = read_layout(path, options.image_root)
    for image in layout.listing.unlisted if layout.listing else ():
        notes.drops.add("image that no entry of data.yaml lists, not used", str(image), wanted=True)
    labels: list[tuple[Path, list[Label]]] = []
    for image in layout.images:
        file = label_file(image)
        try:
            labels.append((image, label_lines(file) if file.is_file() else []))
        except UserError as error:
            notes.drop_file(file, error)
            notes.spoilt_images.add(str(image))
            continue
        if not file.is_file():
            notes.changes.add("image without a label file, taken as without ears", str(image))
    lines = [line for _, listed in labels for line in listed]
    shape = layout.points or (point_shape(lines) if kind == "yolo-pose" else None)
    used = {line.category for line in lines if line.category >= 0} | set(layout.names)
    unnamed = len(used) == 1 and not layout.names
    pictures = []
    for image, listed in labels:
        picture = Picture(str(image), fractions=True)
        for line in listed:
            if line.category < 0:  # of which class, nobody knows
                notes.drops.add(line.fault, line.where)
                notes.spoilt_images.add(str(image))
                continue
            name = "" if unnamed else layout.names.get(line.category, f"class {line.category}")
            picture.ears.append(_ear(line, name, kind, shape, layout))
        pictures.append(picture)
    ears = [ear for picture in pictures for ear in picture.ears]
    if lines and all(ear.fault for ear in ears):
        first = ears[0] if ears else lines[0]
        raise UserError(f"{first.where}: {first.fault}.")
    folder = path if path.is_dir() else path.parent
    classes = [] if unnamed else [layout.names.get(number, f"class {number}") for number in used]
    return manifest_of(pictures, path, options, notes, ImageFinder(folder), kind, classes)


def write_labels(folder: Path, manifest: Manifest, with_points: bool) -> Path:
    """images/ with links (copies where links are not allowed), labels/ and data.yaml."""
    if with_points and manifest.landmarks is None:
        raise UserError(f"{folder}: yolo-pose needs landmarks, the manifest has none.")
    rows_of: dict[str, list[int]] = {
        str(path): [] for path in [*manifest.image_paths, *manifest.empty_images]
    }
    for row, path in enumerate(manifest.image_paths):
        rows_of[str(path)].append(row)
    description = {"train": "images", "val": "images", "names": {0: "ear"}}
    if with_points:
        description["kpt_shape"] = [manifest.landmarks.shape[1], 3]
        description["kpt_names"] = {0: names_and_edges(manifest)[0]}
    with whole_folder(folder) as new:
        for part in ("images", "labels"):
            (new / part).mkdir()
        for name, (image, rows) in zip(unique_names(list(rows_of)), rows_of.items(), strict=True):
            link_image(Path(image), new / "images" / name)
            height, width = image_size(image)
            lines = [_line(manifest, row, width, height, with_points) for row in rows]
            (new / "labels" / name).with_suffix(".txt").write_text("".join(lines), encoding="utf-8")
        (new / "data.yaml").write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")
    return folder


def unique_names(images: list[str]) -> list[str]:
    """A file name for each image, its folder's name in front where two would be alike but for the suffix."""
    stems = [Path(image).stem for image in images]
    counts = Counter(stems)
    names: list[str] = []
    taken: set[str] = set()
    for image, stem in zip(images, stems, strict=True):
        name = stem if counts[stem] == 1 else f"{Path(image).parent.name}_{stem}"
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


def _ear(line: Label, name: str, kind: str, shape: tuple[int, int] | None, layout: Layout) -> Ear:
    """A label in fractions of the picture; points minus a half, so that they are pixel centres in pixels."""
    values, count = line.numbers, len(line.numbers)
    if line.fault:
        return Ear(name, line.where, None, fault=line.fault)
    if kind == "yolo-polygons" and count >= 6 and count % 2 == 0:
        return Ear(name, line.where, extent(values.reshape(-1, 2)))
    x, y, width, height = values[:4]
    box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    score = float(values[-1]) if count == 5 or (shape and count == 5 + shape[0] * shape[1]) else None
    if count in (4, 5) and (score is None or 0 <= score <= 1):
        return Ear(name, line.where, box, score=score)
    if kind == "yolo-pose" and shape is not None and count - (score is not None) == 4 + shape[0] * shape[1]:
        points = values[4 : 4 + shape[0] * shape[1]].reshape(shape)
        seen = points[:, 2] if shape[1] == 3 else 2.0 * (points != 0).any(axis=1)  # (0, 0): not annotated
        if np.isin(seen, (0, 1, 2)).all():
            triples = np.column_stack([points[:, :2] - 0.5, seen])
            return Ear(name, line.where, box, triples, layout.point_names, score=score)
    return Ear(name, line.where, None, fault=_wrong_columns(count, kind, shape))


def _wrong_columns(count: int, kind: str, shape: tuple[int, int] | None) -> str:
    if kind == "yolo-pose" and shape is not None:
        wanted = f"{shape[0]} points of {shape[1]} = {shape[0] * shape[1]}"
        return f"{count - 4} numbers after the box, expected {wanted}"
    if kind == "yolo":
        return f"expected class and 4 numbers, found {count}; is it yolo-pose or yolo-polygons?"
    return f"{count} numbers after the class are neither a box nor {kind.removeprefix('yolo-')}"


def _line(manifest: Manifest, row: int, width: int, height: int, with_points: bool) -> str:
    x1, y1, x2, y2 = manifest.boxes_xyxy[row].astype(float) / [width, height, width, height]
    words = ["0", *(f"{value:.6f}" for value in ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1))]
    if with_points:
        for (x, y), seen in zip(manifest.landmarks[row], manifest.visibility[row], strict=True):
            place = ((x + 0.5) / width, (y + 0.5) / height) if seen else (0, 0)
            words += [f"{place[0]:.6f}", f"{place[1]:.6f}", str(int(seen))]
    return " ".join(words) + "\n"
