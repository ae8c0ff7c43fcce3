"""Which format a file is of, by its content, and what a folder holds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from configs.errors import UserError
from configs.reading.content import open_regular, read_json
from data.formats.rules.tables import csv_dialect
from data.formats.rules.text import read_text
from data.formats.yolo_sets.columns import kind_of
from data.formats.yolo_sets.layout import is_layout
from data.images import find_images

# Files that may say where ears are; a folder that holds one is not a folder of crops.
ANNOTATION_SUFFIXES = frozenset({
    ".ann", ".arrow", ".asf", ".csv", ".data", ".db", ".dat", ".h5", ".hdf5", ".json", ".jsonl", ".lst",
    ".mat", ".names", ".ndjson", ".npy", ".npz", ".parquet", ".pickle", ".pkl", ".pts", ".record", ".sqlite",
    ".tfrecord", ".tps", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml",
})  # fmt: skip
_TEXTS_ABOUT = ("readme", "license", "licence", "copying", "notice", "changelog", "requirements")
_BY_SUFFIX = {".npy": "npy", ".yaml": "yolo", ".yml": "yolo", ".pts": "pts", ".data": "yolo"}
_SAMPLED = (".json", ".xml", ".csv", ".tsv")
_SAMPLES = 3  # files of a suffix that are opened to see what a folder holds
_LISTED = 5
_YOLO = frozenset({".txt", ".yaml", ".yml", ".names", ".data"})
_OWN_SUFFIXES = {
    "yolo": _YOLO, "yolo-pose": _YOLO, "yolo-polygons": _YOLO, "voc": {".xml"}, "cvat": {".xml"},
    "labelme": {".json"}, "deeplabcut": {".csv", ".h5"}, "pts": {".pts"},
}  # fmt: skip
_SINGLE = ("coco", "label-studio", "via", "csv", "predictions")  # formats of which a folder may hold one file


def detect_format(path: Path, image_root: Path | None = None) -> str:
    """The format of a file by its content, of a folder by what lies there. UserError for a doubt.

    image_root: as of `ReadOptions`.
    """
    return _format_of_folder(path, image_root) if path.is_dir() else format_of_file(path, image_root)


def format_of_file(file: Path, image_root: Path | None = None) -> str:
    """Raises UserError for a file of no known format."""
    suffix = file.suffix.lower()
    if suffix in _BY_SUFFIX:
        return kind_of(file, image_root) if _BY_SUFFIX[suffix] == "yolo" else _BY_SUFFIX[suffix]
    if suffix == ".json":
        return json_dialect(read_json(file), file)
    if suffix == ".xml":
        return xml_dialect(file)
    if suffix in (".csv", ".tsv"):
        return csv_dialect(read_text(file), file)
    raise UserError(
        f"{file}: a file of no known format; known are .json .xml .csv .pts .npy, data.yaml, and folders. "
        "--list-formats shows them."
    )


def files_of(path: Path, suffixes: Iterable[str]) -> list[Path]:
    """The file itself, or all files below a folder that end so, in any case; hidden ones are left out."""
    if path.is_file():
        return [path]
    found = []
    for parent, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(parent) / name
            for name in sorted(files)
            if Path(name).suffix.lower() in suffixes and not name.startswith(".")
        ]
    return found


def single_file(path: Path, format_name: str) -> Path:
    """The one file of this format in a folder, or the file itself. Raises UserError for several."""
    if path.is_file():
        return path
    found = []
    for file in files_of(path, _SAMPLED):
        try:
            if format_of_file(file) == format_name:
                found.append(file)
        except UserError:
            continue
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"{path}: no {format_name} file in this folder.")
    listed = ", ".join(str(file.relative_to(path)) for file in found[:_LISTED])
    raise UserError(
        f"{path}: holds {len(found)} {format_name} files: {listed}; give the one to read, several with "
        "--input, those of a split with --val-input and --test-input."
    )


def unread_files(folder: Path, format_name: str) -> list[Path]:
    """Files below a folder that may hold annotations, but are none that a reader of this format opens."""
    own = _OWN_SUFFIXES.get(format_name, frozenset())
    one = single_file(folder, format_name) if format_name in _SINGLE else None
    return [
        file
        for file in files_of(folder, ANNOTATION_SUFFIXES)
        if file != one and (one is not None or file.suffix.lower() not in own) and not is_text_about(file)
    ]


def is_text_about(file: Path) -> bool:
    """Whether a file by its name is about a data set, such as its licence, and none of its annotations."""
    return file.stem.lower().startswith(_TEXTS_ABOUT)


def json_dialect(content: Any, file: Path) -> str:
    """Which tool's JSON this is. Raises UserError for another's."""
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(content, dict):
        if {"images", "annotations"} <= set(content):
            return "coco"
        if "shapes" in content and ("imagePath" in content or "imageHeight" in content):
            return "labelme"
        if {"landmark_names", "inputs"} <= set(content):
            return "predictions"
        if "_via_img_metadata" in content or _is_via(content):
            return "via"
        if "data" in content and ({"annotations", "completions", "predictions"} & set(content)):
            return "label-studio"
    elif isinstance(first, dict):
        if "data" in first and ({"annotations", "completions", "predictions"} & set(first)):
            return "label-studio"
        if _is_min_export(first):
            return "label-studio"
        if "image_id" in first and ({"bbox", "keypoints"} & set(first)):
            raise UserError(
                f"{file}: COCO results, predictions without names of pictures; give the data set's own file."
            )
    found = (
        ", ".join(key[:40] for key in list(content)[:6])
        if isinstance(content, dict)
        else type(content).__name__
    )
    raise UserError(
        f"{file}: JSON of no known tool (it holds {found or 'nothing'}); --list-formats shows those read."
    )


def _is_via(content: dict[str, Any]) -> bool:
    first = next(iter(content.values()), None)
    return isinstance(first, dict) and {"filename", "regions"} <= set(first)


def _is_min_export(record: dict[str, Any]) -> bool:
    """Label Studio's JSON-MIN: a task's regions without anything around them."""
    return any(
        isinstance(value, list) and value and isinstance(value[0], dict) and "original_width" in value[0]
        for value in record.values()
    )


def xml_elements(file: Path, *tags: str) -> Iterator[Any]:
    """Every element of these tags, whole, which is emptied behind; without tags the root, as it begins.

    Raises UserError for a file that is broken or tries something (`defusedxml`).
    """
    try:
        with open_regular(file) as source:
            for event, element in ElementTree.iterparse(source, events=("start", "end")):
                if not tags:
                    yield element
                    return
                if event == "end" and element.tag in tags:
                    yield element
                    element.clear()
    except (ElementTree.ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{file}: not an XML file that can be read ({error}).") from None


def xml_dialect(file: Path) -> str:
    """ "voc" or "cvat", by the root. Raises UserError for another's."""
    tag = next(xml_elements(file)).tag
    if tag == "annotation":
        return "voc"
    if tag == "annotations":
        return "cvat"
    raise UserError(
        f"{file}: XML of no known tool (it is <{tag}>); read are Pascal VOC's <annotation> and CVAT's "
        "<annotations>."
    )


def _format_of_folder(folder: Path, image_root: Path | None) -> str:
    kinds: dict[str, Path] = {}
    unknown: list[tuple[Path, str]] = []
    if is_layout(folder):
        kinds[kind_of(folder, image_root)] = folder
    if points := files_of(folder, (".pts",)):
        kinds["pts"] = points[0]
    for suffix in _SAMPLED:
        for file in files_of(folder, (suffix,))[:_SAMPLES]:
            try:
                kinds.setdefault(format_of_file(file), file)
            except UserError as error:
                unknown.append((file, str(error)))
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds:
        found = ", ".join(f"{kind} ({file.name})" for kind, file in kinds.items())
        raise UserError(
            f"{folder}: holds annotations of several formats: {found}. Choose by --format, or give a file."
        )
    suspects = [file for file in files_of(folder, ANNOTATION_SUFFIXES) if not is_text_about(file)]
    if suspects:
        listed = ", ".join(str(file.relative_to(folder)) for file in suspects[:_LISTED])
        why = f" ({unknown[0][1]})" if unknown else ""
        raise UserError(
            f"{folder}: holds {listed}, which may be annotations but are of no known format{why}. "
            "--list-formats shows what is read; --format crops takes every image as one ear."
        )
    if find_images(folder):
        return "crops"
    raise UserError(f"{folder}: neither annotations nor images in this folder.")
